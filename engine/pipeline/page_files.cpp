#include "page_files.h"
#include "data/atomic_file.h"
#include "data/json.h"
#include "engine/report/page.h"
#include "engine/training/interrupt.h"
#include "family.h"
#include "page_data.h"
#include <arpa/inet.h>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace theta {

namespace fs = std::filesystem;

namespace {

// A socket, closed when it goes.
struct Socket {
  explicit Socket(int number) : number(number) {}
  ~Socket() {
    if (number >= 0)
      close(number);
  }
  Socket(const Socket &) = delete;
  int number;
};

// When the files that pages are made of were last written.
std::string stamp_of(const std::vector<fs::path> &runs) {
  std::string stamp;
  for (const fs::path &run : runs)
    for (const char *name : {"", "config.toml", "metrics.jsonl", "eval.json", "trajectories.json", "report"}) {
      std::error_code none;
      const auto when = fs::last_write_time(*name ? run / name : run, none);
      stamp += text(none ? 0 : when.time_since_epoch().count(), '.');
    }
  return stamp;
}

bool send_all(int to, const std::string &text) {
  for (std::size_t sent = 0; sent < text.size();) {
    const ssize_t n = send(to, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (n <= 0)
      return false;
    sent += std::size_t(n);
  }
  return true;
}

// Whether the request is for this machine by name: another's page, whose name leads here, is told nothing.
bool is_for_loopback(const std::string &asked) {
  const auto at = asked.find("\r\nHost: ");
  const std::string host = at == std::string::npos ? "" : asked.substr(at + 8, asked.find("\r\n", at + 8) - at - 8);
  const std::string name = host.substr(0, host.rfind(':'));
  return name == "127.0.0.1" || name == "localhost";
}

// One request: GET / or GET /stamp. Whoever does not finish asking in a second, or does not listen, is left.
void answer(int to, const std::vector<fs::path> &runs) {
  const timeval second{1, 0};
  setsockopt(to, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
  setsockopt(to, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof second);
  const auto begun = std::chrono::steady_clock::now();
  std::string asked;
  char part[2048];
  while (asked.find("\r\n\r\n") == std::string::npos && asked.size() < 16384) {
    const ssize_t n = recv(to, part, sizeof part, 0);
    if (n <= 0 || std::chrono::steady_clock::now() - begun > std::chrono::seconds(1))
      return;
    asked.append(part, std::size_t(n));
  }
  std::string status = "200 OK", type = "text/html; charset=utf-8", body;
  try {
    const std::string stamp = stamp_of(runs); // before the page: what changes meanwhile is seen the next time
    if (!is_for_loopback(asked))
      status = "403 Forbidden", type = "text/plain", body = "expected 127.0.0.1 or localhost for a host\n";
    else if (asked.starts_with("GET / "))
      body = page_of(pages_of(runs), stamp);
    else if (asked.starts_with("GET /stamp "))
      type = "text/plain", body = stamp;
    else
      status = "404 Not Found", type = "text/plain", body = "expected /\n";
  } catch (const std::exception &) { // a file that is being written
    status = "503 Service Unavailable";
    body = "<!DOCTYPE html><meta http-equiv=\"refresh\" content=\"3\"><p>The run is being written; in a moment.</p>\n";
  }
  send_all(to, text("HTTP/1.1 ", status, "\r\nContent-Type: ", type, "\r\nContent-Length: ", body.size(),
                    "\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n", body));
}

} // namespace

std::vector<Json> pages_of(const std::vector<fs::path> &runs) {
  std::vector<Json> pages;
  for (const fs::path &family : runs)
    for (const fs::path &run : members_in(family))
      pages.push_back(fs::is_directory(run) ? page_data_of(run) : read_page_data(run));
  return pages;
}

void write_page(const std::vector<fs::path> &runs, const fs::path &page) {
  const auto pages = pages_of(runs);
  if (!page.parent_path().empty())
    fs::create_directories(page.parent_path());
  write_file(page, page_of(pages));
  if (pages.size() == 1 && fs::is_directory(runs[0]))
    write_file(fs::path(page).replace_extension(".json"), pages[0].dump() + "\n");
}

void serve_page(const std::vector<fs::path> &runs, int port, void (*tell)(int)) {
  pages_of(runs); // what is wrong with them is said now
  const Socket listening(socket(AF_INET, SOCK_STREAM, 0));
  const int yes = 1;
  setsockopt(listening.number, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET, address.sin_port = htons(std::uint16_t(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (listening.number < 0 || bind(listening.number, reinterpret_cast<sockaddr *>(&address), sizeof address) != 0 ||
      listen(listening.number, 8) != 0 ||
      getsockname(listening.number, reinterpret_cast<sockaddr *>(&address), &length) != 0)
    throw Error("report: port ", port, " of 127.0.0.1 cannot be had: ", std::strerror(errno));
  tell(ntohs(address.sin_port));
  while (!interrupted()) {
    pollfd waiting{listening.number, POLLIN, 0};
    if (poll(&waiting, 1, 200) <= 0)
      continue;
    const Socket asking(accept(listening.number, nullptr, nullptr));
    if (asking.number >= 0)
      answer(asking.number, runs);
  }
}

} // namespace theta
