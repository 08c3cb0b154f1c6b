#include "tests/tools/run_zdb.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <sstream>

extern char** environ;

namespace zerodb::test {

namespace {

std::string read_file(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

}  // namespace

RunningZdb::RunningZdb(std::vector<std::string> arguments, const std::filesystem::path& where,
                       const std::string& input) {
  std::ofstream(files_ / "in", std::ios::binary) << input;
  arguments.insert(arguments.begin(), ZDB_PROGRAM);
  std::vector<char*> argv;
  for (auto& argument : arguments)
    argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, where.c_str());
  constexpr int made = O_WRONLY | O_CREAT | O_TRUNC;
  posix_spawn_file_actions_addopen(&actions, 0, (files_ / "in").c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, (files_ / "out").c_str(), made, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, (files_ / "err").c_str(), made, 0600);
  const int failed = ::posix_spawn(&pid_, ZDB_PROGRAM, &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw std::runtime_error("cannot run " ZDB_PROGRAM);
}

void RunningZdb::signal(int number) const {
  ::kill(pid_, number);
}

Outcome RunningZdb::wait() {
  int status = 0;
  ::waitpid(pid_, &status, 0);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return {code, read_file(files_ / "out"), read_file(files_ / "err")};
}

}  // namespace zerodb::test
