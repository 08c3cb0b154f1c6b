#include "tests/sim/faults/seed_pool.hpp"

#include <malloc.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace zerodb::sim {

namespace {

struct Child {
  pid_t pid = 0;
  int pipe = -1;
  SeedResult result;
};

void write_all(int to, const std::string& text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto written = ::write(to, text.data() + at, text.size() - at);
    if (written <= 0) return;
    at += static_cast<std::size_t>(written);
  }
}

/// A process that ends with its seed gives nothing back before.
void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 4 << 20);
#endif
}

Child start(std::uint64_t seed, unsigned seconds_max,
            const std::function<std::string(std::uint64_t seed)>& work) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) throw std::runtime_error("no pipe");
  std::fflush(stdout);  // or the child says it, too
  const auto pid = ::fork();
  if (pid < 0) throw std::runtime_error("no process");
  if (pid == 0) {
    ::close(ends[0]);
    keep_freed_memory();
    const rlimit limit{.rlim_cur = seconds_max, .rlim_max = seconds_max + 1};
    ::setrlimit(RLIMIT_CPU, &limit);
    write_all(ends[1], work(seed));
    std::fflush(stdout);
    std::_Exit(0);
  }
  ::close(ends[1]);
  return {.pid = pid, .pipe = ends[0], .result = {.seed = seed, .output = {}, .death = {}}};
}

std::string death_of(int status) {
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU) return "it did not end in time";
  if (WIFSIGNALED(status)) return "killed by signal " + std::to_string(WTERMSIG(status));
  if (WEXITSTATUS(status) != 0) return "ended with " + std::to_string(WEXITSTATUS(status));
  return {};
}

/// True while there is more to come.
bool read_some(Child& child) {
  std::array<char, 4096> buffer{};
  const auto size = ::read(child.pipe, buffer.data(), buffer.size());
  if (size <= 0) return false;
  child.result.output.append(buffer.data(), static_cast<std::size_t>(size));
  return true;
}

void bury(Child& child) {
  ::close(child.pipe);
  int status = 0;
  ::waitpid(child.pid, &status, 0);
  child.result.death = death_of(status);
}

}  // namespace

void run_in_processes(const std::vector<std::uint64_t>& seeds, unsigned processes,
                      unsigned seconds_max,
                      const std::function<std::string(std::uint64_t seed)>& work,
                      const std::function<void(const SeedResult&)>& done) {
  std::vector<Child> children;
  auto next = seeds.begin();
  while (next != seeds.end() || !children.empty()) {
    while (next != seeds.end() && children.size() < processes)
      children.push_back(start(*next++, seconds_max, work));
    std::vector<pollfd> waiting;
    for (const auto& child : children)
      waiting.push_back({.fd = child.pipe, .events = POLLIN, .revents = 0});
    ::poll(waiting.data(), waiting.size(), -1);
    for (std::size_t i = waiting.size(); i-- > 0;) {
      if (waiting[i].revents == 0 || read_some(children[i])) continue;
      bury(children[i]);
      done(children[i].result);
      children.erase(children.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
}

}  // namespace zerodb::sim
