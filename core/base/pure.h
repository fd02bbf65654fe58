// Included last by every .c file of core/: poisons what would break its purity (DESIGN.md law 2).
// Memory, time and random bytes are handed in. tools/check_house checks the same on the object
// code.
#pragma once

#pragma GCC poison malloc calloc realloc free aligned_alloc posix_memalign strdup strndup
#pragma GCC poison open openat read write close socket connect accept bind listen send recv        \
    sendmsg recvmsg
#pragma GCC poison mmap munmap madvise ioctl fcntl poll epoll_wait select fopen fclose fprintf     \
    printf puts
#pragma GCC poison time clock clock_gettime gettimeofday nanosleep sleep usleep
#pragma GCC poison rand srand random srandom drand48 getrandom getentropy
#pragma GCC poison pthread_create pthread_mutex_lock pthread_self fork execve system getenv setenv
#pragma GCC poison strtok localtime gmtime setlocale exit signal raise errno
