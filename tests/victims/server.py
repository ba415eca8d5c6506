"""server.py healthy|leak: an HTTP server on a free port of the loopback interface,
a thread per connection. The leak keeps a file for each request it answers."""

import http.server
import socketserver
import sys

LEAKS = sys.argv[1] == "leak"
KEPT = []


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        page = open(__file__, "rb")
        body = page.read()
        if LEAKS:
            KEPT.append(page)
        else:
            page.close()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


server = Server(("127.0.0.1", 0), Handler)
print("ready", server.server_port, flush=True)
server.serve_forever()
