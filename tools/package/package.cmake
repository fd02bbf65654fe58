# `cpack -G DEB` in a build folder: a package for the Debian that built it. What only a package has (the configuration, the
# user, the scripts) is a component of its own, which `cmake --install` leaves out.
set(package_folder ${CMAKE_CURRENT_LIST_DIR})
install(FILES ${package_folder}/holdfast.yaml DESTINATION /etc/holdfast COMPONENT package EXCLUDE_FROM_ALL)
install(FILES ${package_folder}/sysusers.conf DESTINATION lib/sysusers.d RENAME holdfast.conf
    COMPONENT package EXCLUDE_FROM_ALL)
install(FILES ${package_folder}/copyright README.md DESTINATION share/doc/holdfast COMPONENT package EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME holdfast)
set(CPACK_PACKAGE_VENDOR Holdfast)
set(CPACK_PACKAGE_CONTACT "Holdfast <holdfast@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "edge gateway that holds WebSocket connections")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Browsers and devices keep one WebSocket open to it; the services behind it
stay ordinary, stateless HTTP services that publish with one POST. One thread
per core on io_uring; Linux 6.1 or newer.")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS systemd)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${package_folder}/conffiles ${package_folder}/postinst ${package_folder}/prerm
    ${package_folder}/postrm)
# With DESTDIR the unit's ExecStart has the real prefix, and /etc is /etc.
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_CMAKE_PROJECTS "${CMAKE_BINARY_DIR};holdfast;ALL;/;${CMAKE_BINARY_DIR};holdfast;package;/")
include(CPack)
