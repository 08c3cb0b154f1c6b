#include "tools/zbench_mesh.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>
#include <thread>

namespace zerodb::bench {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

constexpr auto start_timeout = 30s;
constexpr auto agree_timeout = 120s;  // a replica may have gigabytes to catch up on

fs::path program_folder() {
  return fs::read_symlink("/proc/self/exe").parent_path();
}

/// A child whose standard output can be read line by line.
struct Child {
  pid_t pid = -1;
  int out = -1;
};

/// What must not outlive this process: the mesh's folder, and the children that run on it.
class Remains {
 public:
  void set_folder(const fs::path& folder) {
    const std::lock_guard lock(mutex_);
    folder_ = folder;
  }
  /// Under the lock, so that a signal finds a child either listed or never begun.
  template <class Start>
  pid_t start(Start start) {
    const std::lock_guard lock(mutex_);
    const pid_t child = start();
    if (child > 0) children_.insert(child);
    return child;
  }
  int wait_for(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    const std::lock_guard lock(mutex_);
    children_.erase(child);
    return status;
  }
  /// Before the process ends: the lock is kept, so that nothing more comes to be.
  void remove_all() {
    mutex_.lock();
    for (const auto child : children_)
      kill(child, SIGKILL);
    for (const auto child : children_)
      waitpid(child, nullptr, 0);
    std::error_code ignored;
    if (!folder_.empty()) fs::remove_all(folder_, ignored);
  }

 private:
  std::mutex mutex_;
  fs::path folder_;
  std::set<pid_t> children_;
};

Remains& remains() {
  static auto* const all = new Remains;  // outlives the thread that waits for signals
  return *all;
}

/// Runs in the child, between fork and exec. It ends with this process, however that ends.
[[noreturn]] void become(char* const* words, int out, const char* log) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(open(log, O_WRONLY | O_CREAT | O_APPEND, 0600), STDERR_FILENO);
  execv(words[0], words);
  _exit(127);
}

Result<Child> run(std::vector<std::string> words, const fs::path& log) {
  const auto cannot_run = [&] {
    return fail(Errc::io, "cannot run " + words[0] + "; is it beside zbench?");
  };
  if (access(words[0].c_str(), X_OK) != 0) return cannot_run();
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return fail(Errc::io, "cannot make a pipe");
  std::vector<char*> argv;
  for (auto& word : words)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t pid = remains().start([&] {
    const pid_t child = fork();
    if (child == 0) become(argv.data(), ends[1], log.c_str());
    return child;
  });
  close(ends[1]);
  if (pid > 0) return Child{.pid = pid, .out = ends[0]};
  close(ends[0]);
  return cannot_run();
}

/// True once the child printed a line that begins with `word`; false at its end or the deadline.
bool wait_for_line(int out, std::string_view word) {
  const auto deadline = std::chrono::steady_clock::now() + start_timeout;
  std::string text;
  while (text.find(word) == std::string::npos || text.back() != '\n') {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd waiting{.fd = out, .events = POLLIN, .revents = 0};
    if (left.count() <= 0 || poll(&waiting, 1, static_cast<int>(left.count())) <= 0) return false;
    char buffer[4096];
    const auto got = read(out, buffer, sizeof buffer);
    if (got <= 0) return false;
    text.append(buffer, static_cast<std::size_t>(got));
  }
  return true;
}

Status run_to_end(std::vector<std::string> words, const fs::path& log) {
  const std::string doing = words[0] + " " + words[1];
  auto child = run(std::move(words), log);
  if (!child) return fail(std::move(child.error()));
  close(child->out);
  const int status = remains().wait_for(child->pid);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  std::stringstream said;
  said << std::ifstream(log).rdbuf();
  return fail(Errc::io, doing + " failed: " + said.str());
}

}  // namespace

Usage usage_of(pid_t pid) {
  Usage usage;
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(stat, line);
  std::istringstream fields(line.substr(line.rfind(')') + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i)
    fields >> skipped;
  double user_ticks = 0;
  double system_ticks = 0;
  fields >> user_ticks >> system_ticks;
  usage.cpu_s = (user_ticks + system_ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  while (std::getline(status, line)) {
    if (line.starts_with("VmHWM:")) usage.peak_bytes = std::stoull(line.substr(6)) * 1024;
  }
  return usage;
}

Result<std::unique_ptr<BenchMesh>> BenchMesh::start(unsigned nodes, const fs::path& parent) {
  std::unique_ptr<BenchMesh> mesh(new BenchMesh);
  std::string pattern = (parent / "zbench-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) {
    return fail(Errc::io, parent.string() + ": cannot make a folder here; choose one with --data");
  }
  mesh->root_ = pattern;
  remains().set_folder(pattern);
  std::string ticket;
  for (unsigned i = 1; i <= nodes; ++i) {
    if (i > 1) {
      auto founder = mesh->connect(0);
      if (!founder) return fail(std::move(founder.error()));
      auto invited = founder->invite({.share_owner = true});
      if (!invited) return fail("invite", std::move(invited.error()));
      ticket = std::move(*invited);
    }
    if (auto added = mesh->add_node("bench" + std::to_string(i), ticket); !added)
      return fail(std::move(added.error()));
  }
  if (auto settled = mesh->wait_until_settled(); !settled) return fail(std::move(settled.error()));
  return mesh;
}

Status BenchMesh::add_node(const std::string& name, const std::string& ticket) {
  const auto program = (program_folder() / "zerodb-node").string();
  const auto folder = root_ / name;
  const auto log = root_ / (name + ".log");
  std::vector<std::string> words{program, ticket.empty() ? "init" : "join"};
  if (!ticket.empty()) words.push_back(ticket);
  words.insert(words.end(), {"--data", folder.string(), "--name", name, "--listen", "127.0.0.1:0"});
  if (auto made = run_to_end(std::move(words), log); !made) return made;

  auto child = run({program, "run", "--data", folder.string()}, log);
  if (!child) return fail(std::move(child.error()));
  daemons_.push_back({folder, child->pid});
  const bool ready = wait_for_line(child->out, "ready");
  close(child->out);
  if (ready) return {};
  std::stringstream said;
  said << std::ifstream(log).rdbuf();
  return fail(Errc::io, name + " did not become ready: " + said.str());
}

Status BenchMesh::wait_until(std::string_view what,
                             const std::function<bool(const Answer&)>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + agree_timeout;
  for (std::size_t node = 0; node < size(); ++node) {
    auto client = connect(node);
    if (!client) return fail(std::move(client.error()));
    for (;;) {
      auto status = client->status();
      if (!status) return fail("status", std::move(status.error()));
      if (holds(*status)) break;
      if (std::chrono::steady_clock::now() > deadline)
        return fail(Errc::timeout, "the daemons did not become ready: " + std::string(what));
      std::this_thread::sleep_for(20ms);
    }
  }
  return {};
}

/// All are linked up, and each takes its part: no write goes by a roster of fewer.
Status BenchMesh::wait_until_settled() {
  return wait_until("they wait for each other", [&](const Answer& status) {
    const auto is_up = [](const auto& member) { return member.up || member.here; };
    const auto up = std::ranges::count_if(status.members, is_up);
    return static_cast<std::size_t>(up) == size() && status.move.waits_for.empty();
  });
}

Status BenchMesh::wait_until_all_hold(std::uint64_t objects) {
  return wait_until("a replica is behind",
                    [&](const Answer& status) { return status.objects >= objects; });
}

BenchMesh::~BenchMesh() {
  for (const auto& daemon : daemons_)
    kill(daemon.pid, SIGTERM);
  for (const auto& daemon : daemons_)
    remains().wait_for(daemon.pid);
  std::error_code ignored;
  if (!root_.empty()) fs::remove_all(root_, ignored);
  remains().set_folder({});
}

void remove_mesh_on_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};
    sigaction(signal, nullptr, &action);
    if (action.sa_handler != SIG_IGN) sigaddset(&signals, signal);
  }
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals] {
    int signal = 0;
    sigwait(&signals, &signal);
    remains().remove_all();
    ::signal(signal, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
    kill(getpid(), signal);
  }).detach();
}

}  // namespace zerodb::bench
