#include "page_files.h"
#include "data/atomic_file.h"
#include "data/json.h"
#include "engine/pipeline/stages/pipeline.h"
#include "engine/report/page.h"
#include "engine/training/interrupt.h"
#include "page_data.h"
#include <algorithm>
#include <arpa/inet.h>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <list>
#include <memory>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
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

// A header's value; its name may have any case.
std::string header_of(const std::string &asked, std::string_view name) {
  for (std::size_t at = asked.find("\r\n"); at != std::string::npos; at = asked.find("\r\n", at)) {
    at += 2;
    const std::size_t end = std::min(asked.find("\r\n", at), asked.size());
    const std::string_view line = std::string_view(asked).substr(at, end - at);
    if (line.size() <= name.size() || line[name.size()] != ':' ||
        !std::equal(name.begin(), name.end(), line.begin(),
                    [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); }))
      continue;
    const auto value = line.substr(name.size() + 1);
    const auto first = value.find_first_not_of(" \t"), last = value.find_last_not_of(" \t");
    return first == std::string_view::npos ? "" : std::string(value.substr(first, last - first + 1));
  }
  return "";
}

// Whether the request is for this machine by name: another's page, whose name leads here, is told nothing.
bool is_for_loopback(const std::string &asked) {
  const std::string host = header_of(asked, "host"), name = host.substr(0, host.rfind(':'));
  return name == "127.0.0.1" || name == "localhost";
}

// One request: GET or HEAD of / or /stamp, whatever follows a '?'. Whoever does not finish asking in a second, or does
// not listen, is left.
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
  const std::string method = asked.substr(0, asked.find(' '));
  const std::size_t from = std::min(method.size() + 1, asked.size());
  const std::string path = asked.substr(from, asked.find_first_of(" ?\r", from) - from);
  std::string status = "200 OK", type = "text/html; charset=utf-8", body;
  try {
    const std::string stamp = stamp_of(runs); // before the page: what changes meanwhile is seen the next time
    if (!is_for_loopback(asked))
      status = "403 Forbidden", type = "text/plain", body = "expected 127.0.0.1 or localhost for a host\n";
    else if (method != "GET" && method != "HEAD")
      status = "405 Method Not Allowed\r\nAllow: GET, HEAD", type = "text/plain", body = "expected GET or HEAD\n";
    else if (path == "/")
      body = page_of(pages_of(runs), stamp);
    else if (path == "/stamp")
      type = "text/plain", body = stamp;
    else
      status = "404 Not Found", type = "text/plain", body = "expected /\n";
  } catch (const std::exception &) { // a file that is being written
    status = "503 Service Unavailable";
    body = "<!DOCTYPE html><meta http-equiv=\"refresh\" content=\"3\"><p>The run is being written; in a moment.</p>\n";
  }
  send_all(to, text("HTTP/1.1 ", status, "\r\nContent-Type: ", type, "\r\nContent-Length: ", body.size(),
                    "\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n", method == "HEAD" ? "" : body));
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
  // A thread each, so that whoever is slow holds up nobody; each ends in seconds.
  constexpr std::size_t most = 64;
  std::list<std::pair<std::jthread, std::shared_ptr<std::atomic<bool>>>> answering;
  while (!interrupted()) {
    pollfd waiting{listening.number, POLLIN, 0};
    const bool asked = poll(&waiting, 1, 200) > 0;
    answering.remove_if([](const auto &each) { return each.second->load(); });
    if (!asked)
      continue;
    auto asking = std::make_unique<Socket>(accept(listening.number, nullptr, nullptr));
    if (asking->number < 0 || answering.size() >= most)
      continue;
    const auto done = std::make_shared<std::atomic<bool>>(false);
    answering.emplace_back(std::jthread([&runs, done, asking = std::move(asking)] {
                             answer(asking->number, runs);
                             done->store(true);
                           }),
                           done);
  }
}

} // namespace theta
