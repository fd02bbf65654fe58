"""The proxies that bench/tunnel_compare measures, and the services behind them. Each proxy has one core and one worker, logs
nothing, keeps connections to its services and cuts nobody in an hour. WebSocket goes to /echo, plain requests to /plain."""

import contextlib
import os

from server import Server

HOLDFAST = """\
listeners:
  - address: 127.0.0.1:{port}
admin: {{address: "127.0.0.1:{admin}"}}
workers: 1
limits: {{connections: 10000, handshakes_per_second: 1000000}}
keepalive: {{ping: 1h}}
log: {{level: warn}}
upstreams:
  echo: {{servers: ["http://127.0.0.1:{echo}"], connections: 10000, idle: 1h}}
  plain: {{servers: ["http://127.0.0.1:{plain}"], idle: 1h}}
routes:
  - {{path: /echo, tunnel: {{upstream: echo}}, backpressure: {{stall: 1h}}}}
  - {{path: /plain, proxy: {{upstream: plain}}}}
"""
NGINX = """\
user root;
worker_processes 1;
worker_rlimit_nofile 20000;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log error;
events {{ worker_connections 19900; use epoll; multi_accept on; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    upstream echo {{ server 127.0.0.1:{echo}; }}
    upstream plain {{ server 127.0.0.1:{plain}; keepalive 256; keepalive_requests 1000000000; keepalive_timeout 1h; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        proxy_http_version 1.1;
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $remote_addr;
        location /echo {{
            proxy_pass http://echo;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_buffer_size {buffer};
            proxy_buffers 8 {buffer};
            proxy_busy_buffers_size {busy};
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
        }}
        location /plain {{
            proxy_pass http://plain;
            proxy_set_header Connection "";
        }}
    }}
}}
"""
HAPROXY = """\
global
    nbthread 1
    maxconn 9000
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
    option forwardfor
    http-reuse always
frontend all
    bind 127.0.0.1:{port} backlog 4096
    use_backend echo if {{ path /echo }}
    default_backend plain
backend echo
    server one 127.0.0.1:{echo}
backend plain
    server one 127.0.0.1:{plain}
"""
# The services: their core is the clients'.
ECHO = """\
listeners:
  - address: 127.0.0.1:{echo}
admin: {{address: "127.0.0.1:{other}"}}
workers: 1
limits: {{connections: 10000, handshakes_per_second: 1000000}}
keepalive: {{ping: 1h}}
log: {{level: warn}}
routes:
  - {{path: /echo, echo: {{}}}}
"""
BODY = "x" * 100
PLAIN = """\
user root;
worker_processes 1;
daemon off;
pid {folder}/plain.pid;
error_log {folder}/plain.log error;
events {{ worker_connections 4000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/plain-body;
    proxy_temp_path {folder}/plain-proxy;
    fastcgi_temp_path {folder}/plain-fastcgi;
    uwsgi_temp_path {folder}/plain-uwsgi;
    scgi_temp_path {folder}/plain-scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    server {{
        listen 127.0.0.1:{plain} backlog=4096;
        location / {{ default_type text/plain; return 200 "BODY"; }}
    }}
}}
""".replace("BODY", BODY)


class Proxy:
    def __init__(self, name, command, configuration):
        self.name, self.command, self.configuration = name, command, configuration

    @contextlib.contextmanager
    def start(self, holdfast, port, folder, cpus, buffer):
        """Services and proxy; yields the pid whose tree is measured. `cpus`: of the proxy, of all else; `buffer`: nginx's, in KiB."""
        fields = {"port": port, "admin": port + 1, "echo": port + 2, "other": port + 3, "plain": port + 4, "folder": folder,
                  "buffer": f"{buffer}k", "busy": f"{2 * buffer}k"}
        os.chmod(folder, 0o755)
        for name, text in (("proxy", self.configuration), ("echo", ECHO), ("plain", PLAIN)):
            with open(os.path.join(folder, name), "w", encoding="ascii") as file:
                file.write(text.format(**fields))
        command = [word.format(holdfast=holdfast, folder=folder) for word in self.command]
        with contextlib.ExitStack() as stack:
            stack.enter_context(Server([holdfast, "run", "-c", f"{folder}/echo"], {cpus[1]}, port + 2))
            stack.enter_context(Server(["nginx", "-c", f"{folder}/plain", "-e", f"{folder}/plain.log"], {cpus[1]}, port + 4))
            yield stack.enter_context(Server(command, {cpus[0]}, port))


PROXIES = [
    Proxy("holdfast", ["{holdfast}", "run", "-c", "{folder}/proxy"], HOLDFAST),
    Proxy("nginx", ["nginx", "-c", "{folder}/proxy", "-e", "{folder}/nginx.log"], NGINX),
    Proxy("haproxy", ["haproxy", "-db", "-f", "{folder}/proxy"], HAPROXY),
]
