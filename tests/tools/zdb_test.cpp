// zdb as a person meets it, in front of a node that keeps objects in memory.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "tests/bus/fake_node.hpp"
#include "tests/tools/run_zdb.hpp"

using namespace zerodb;
using Catch::Contains;
using test::FakeNode;
using test::Outcome;
using test::RunningZdb;
using test::TempDir;
namespace fs = std::filesystem;

namespace {

/// A node, and a folder to work in.
struct Desk {
  FakeNode node;
  TempDir here;

  RunningZdb start(std::vector<std::string> arguments, const std::string& input = {}) {
    arguments.insert(arguments.begin(), {"--node", node.folder().string()});
    return {std::move(arguments), here.path(), input};
  }
  Outcome zdb(std::vector<std::string> arguments, const std::string& input = {}) {
    return start(std::move(arguments), input).wait();
  }

  void write(const fs::path& name, std::string_view text) {
    fs::create_directories((here / name).parent_path());
    std::ofstream(here / name, std::ios::binary) << text;
  }
  std::string read(const fs::path& name) {
    std::ostringstream text;
    text << std::ifstream(here / name, std::ios::binary).rdbuf();
    return text.str();
  }
  std::vector<std::string> files() {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(here.path())) {
      if (!entry.is_directory()) {
        names.push_back(entry.path().lexically_relative(here.path()).string());
      }
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  void keep(const std::string& key, std::string_view text) {
    node.look([&] { node.objects[key] = to_bytes(as_bytes(text)); });
  }
  std::vector<std::string> keys() {
    return node.look([&] {
      std::vector<std::string> names;
      for (const auto& [key, content] : node.objects)
        names.push_back(key);
      return names;
    });
  }
  std::string kept(const std::string& key) {
    return node.look([&] {
      return node.objects.contains(key) ? std::string(as_text(node.objects.at(key))) : "nothing";
    });
  }
};

using Names = std::vector<std::string>;

const std::string large(3'500'000, 'L');

}  // namespace

TEST_CASE("zdb put: a file goes under its name, a key, or a prefix", "[tools]") {
  Desk desk;
  desk.write("dir/a.txt", "A");
  desk.write("b.txt", "");
  desk.write("large", large);
  CHECK(desk.zdb({"put", "dir/a.txt"}).exit_code == 0);
  CHECK(desk.zdb({"put", "dir/a.txt", "my/key"}).exit_code == 0);
  CHECK(desk.zdb({"put", "dir/a.txt", "b.txt", "large", "p/"}).exit_code == 0);
  CHECK(desk.keys() == Names{"a.txt", "my/key", "p/a.txt", "p/b.txt", "p/large"});
  CHECK(desk.kept("my/key") == "A");
  CHECK(desk.kept("p/b.txt").empty());
  CHECK(desk.kept("p/large") == large);
}

TEST_CASE("zdb put: says nothing into a pipe but what is wrong", "[tools]") {
  Desk desk;
  desk.write("a", "A");
  const auto outcome = desk.zdb({"put", "a"});
  CHECK(outcome.out.empty());
  CHECK(outcome.err == "zdb: warning: a is on 2 of 3 nodes; node3 is behind and will catch up\n");
}

TEST_CASE("zdb put: stdin, small and large", "[tools]") {
  Desk desk;
  CHECK(desk.zdb({"put", "-", "small"}, "from a pipe").exit_code == 0);
  CHECK(desk.zdb({"put", "-", "large"}, large).exit_code == 0);
  CHECK(desk.kept("small") == "from a pipe");
  CHECK(desk.kept("large") == large);
}

TEST_CASE("zdb put and get: a file's time comes back with it", "[tools]") {
  Desk desk;
  desk.write("a", "A");
  const timespec times[2] = {{1'000'000, 0}, {1'234'567, 890'000'000}};
  REQUIRE(::utimensat(AT_FDCWD, (desk.here / "a").c_str(), times, 0) == 0);
  REQUIRE(desk.zdb({"put", "a"}).exit_code == 0);
  REQUIRE(desk.zdb({"get", "a", "copy"}).exit_code == 0);
  struct stat about {};
  REQUIRE(::stat((desk.here / "copy").c_str(), &about) == 0);
  CHECK(about.st_mtim.tv_sec == 1'234'567);
  CHECK(about.st_mtim.tv_nsec == 890'000'000);
}

TEST_CASE("zdb put: a file that claims to be empty is read to its end", "[tools]") {
  Desk desk;
  CHECK(desk.zdb({"put", "/proc/self/cmdline", "k"}).exit_code == 0);
  CHECK_THAT(desk.kept("k"), Contains("put"));
}

TEST_CASE("zdb put: what cannot be stored is named, with what to do", "[tools]") {
  Desk desk;
  desk.write("photos/a", "A");
  const auto says = [&](Names arguments, int code, const std::string& what) {
    const auto outcome = desk.zdb(std::move(arguments));
    CHECK(outcome.exit_code == code);
    CHECK_THAT(outcome.err, Contains(what));
  };
  says({"put", "photos"}, 2, "zdb: photos: is a folder; use: zdb put -r photos\n");
  says({"put", "none"}, 1, "zdb: none: cannot be read: No such file or directory\n");
  says({"put", "photos/a", ""}, 2, "a key needs at least one character");
  says({"put", "photos/a", std::string(1025, 'k')}, 2, "1025 bytes: at most 1024");
  says({"put", "photos/a", "\xff"}, 2, "not UTF-8");
  says({"put", "-"}, 2, "zdb put - KEY");
  says({"put", "photos/a", "photos/a", "key"}, 2, "ends in '/'");
  desk.write("a", "another");
  says({"put", "photos/a", "a", "p/"}, 2, "zdb: photos/a and a: would both be p/a;");
  says({"put", "-r", "none"}, 1, "there is no such folder");
  says({"put", "-r", "photos/a"}, 2, "leave out -r");
  says({"put", "-r", "photos", "p"}, 2, "use: p/");
  says({"put"}, 2, "zdb put --help");
  CHECK(desk.keys().empty());
}

TEST_CASE("zdb put: an unreadable file is named", "[tools]") {
  if (::geteuid() == 0) return;  // who may read everything
  Desk desk;
  desk.write("secret", "A");
  fs::permissions(desk.here / "secret", fs::perms::none);
  const auto outcome = desk.zdb({"put", "secret"});
  CHECK(outcome.exit_code == 1);
  CHECK_THAT(outcome.err, Contains("secret: cannot be read: Permission denied"));
}

TEST_CASE("zdb put: goes on after a file that failed, and tells of it", "[tools]") {
  Desk desk;
  desk.write("a", "A");
  desk.write("folder/x", "X");
  desk.write("c", "C");
  const auto outcome = desk.zdb({"put", "a", "none", "folder", "c", "p/"});
  CHECK(outcome.exit_code == 1);
  CHECK_THAT(outcome.err, Contains("none: cannot be read") && Contains("folder: is a folder"));
  CHECK(desk.keys() == Names{"p/a", "p/c"});
}

TEST_CASE("zdb put -r: a folder goes under its name or a prefix", "[tools]") {
  Desk desk;
  Names expected;
  for (int i = 0; i < 40; ++i) {
    const auto name = "d/" + std::to_string(i % 3) + "/f" + std::to_string(i);
    desk.write(name, "content " + std::to_string(i));
    expected.push_back(name);
  }
  desk.write("d/none", "");
  expected.emplace_back("d/none");
  std::sort(expected.begin(), expected.end());
  fs::create_symlink("/nowhere", desk.here / "d/broken");
  const auto outcome = desk.zdb({"put", "-r", "d"});
  CHECK(outcome.exit_code == 0);
  CHECK_THAT(outcome.err, Contains("stored 41 files"));
  CHECK_THAT(outcome.err, Contains("broken"));
  CHECK(desk.keys() == expected);
  CHECK(desk.kept("d/1/f4") == "content 4");
  CHECK(desk.zdb({"--quiet", "put", "-r", "d/0", "z/"}).exit_code == 0);
  CHECK(desk.kept("z/f3") == "content 3");
  CHECK(desk.zdb({"put", "-r", "d/1", ""}).exit_code == 0);
  CHECK(desk.kept("f4") == "content 4");
}

TEST_CASE("zdb get: to the key's last part, a path, a folder, or stdout", "[tools]") {
  Desk desk;
  desk.keep("a/b", "B");
  desk.keep("large", large);
  fs::create_directory(desk.here / "folder");
  CHECK(desk.zdb({"get", "a/b"}).exit_code == 0);
  CHECK(desk.zdb({"get", "a/b", "other"}).exit_code == 0);
  CHECK(desk.zdb({"get", "a/b", "folder"}).exit_code == 0);
  CHECK(desk.zdb({"get", "large"}).exit_code == 0);
  CHECK(desk.zdb({"get", "a/b", "-"}).out == "B");
  CHECK(desk.zdb({"get", "large", "-"}).out == large);
  CHECK(desk.zdb({"get", "a/b", "/dev/null"}).exit_code == 0);
  CHECK_FALSE(fs::is_regular_file("/dev/null"));
  CHECK(desk.files() == Names{"b", "folder/b", "large", "other"});
  CHECK(desk.read("other") == "B");
  CHECK(desk.read("large") == large);
}

TEST_CASE("zdb get: a range is all that comes, and a wrong one is a wrong use", "[tools]") {
  Desk desk;
  desk.keep("k", "0123456789");
  CHECK(desk.zdb({"get", "k", "-", "--range", "2-4"}).out == "234");
  CHECK(desk.zdb({"get", "--range", "7-", "k", "-"}).out == "789");
  for (const auto* range : {"4-2", "x", "-", "1-2-3", "5"}) {
    CHECK(desk.zdb({"get", "k", "-", "--range", range}).exit_code == 2);
  }
}

TEST_CASE("zdb get: what is not there leaves nothing behind and answers 3", "[tools]") {
  Desk desk;
  desk.write("kept", "before");
  const auto outcome = desk.zdb({"get", "no/such", "kept"});
  CHECK(outcome.exit_code == 3);
  CHECK_THAT(outcome.err, Contains("no/such: there is no such object"));
  CHECK(desk.files() == Names{"kept"});
  CHECK(desk.read("kept") == "before");
  CHECK(desk.zdb({"get", "a/"}).exit_code == 2);
  CHECK(desk.zdb({"get", "a/.."}).exit_code == 2);
}

TEST_CASE("zdb get: one that breaks off leaves nothing behind", "[tools]") {
  Desk desk;
  desk.keep("large", large);
  desk.node.look([&] {
    desk.node.forget_download_after = 2;
    desk.node.on_forgotten = [&] { ++desk.node.version; };
  });
  CHECK(desk.zdb({"get", "large"}).exit_code != 0);
  CHECK(desk.files().empty());
}

TEST_CASE("zdb get: interrupted, it leaves nothing behind", "[tools]") {
  Desk desk;
  desk.keep("large", large);
  desk.node.look([&] { desk.node.held = "get_data"; });
  for (const int number : {SIGINT, SIGTERM}) {
    desk.node.look([&] { desk.node.started.clear(); });
    auto running = desk.start({"get", "large"});
    // What the one before had asked may still come in.
    CHECK(desk.node.eventually(
        [&] { return desk.node.started.size() > 1 && desk.files().size() == 1; }));
    running.signal(number);
    CHECK(running.wait().exit_code == -number);
    CHECK(desk.files().empty());
  }
}

TEST_CASE("zdb get -r: all under a prefix, and nothing outside of the folder", "[tools]") {
  Desk desk;
  for (const auto* key : {"p/a", "p/b/c", "p/spaced out", "p/\xF0\x9F\x90\x9F", "q/other"}) {
    desk.keep(key, key);
  }
  CHECK(desk.zdb({"get", "-r", "p/", "copy"}).exit_code == 0);
  CHECK(desk.files() == Names{"copy/a", "copy/b/c", "copy/spaced out", "copy/\xF0\x9F\x90\x9F"});
  CHECK(desk.read("copy/b/c") == "p/b/c");
  for (const auto* key : {"p/../escaped", "p//etc/passwd", "p/./x", "p/dir/", "p/b/.."}) {
    desk.keep(key, "evil");
  }
  fs::remove_all(desk.here / "copy");
  const auto outcome = desk.zdb({"get", "-r", "p/", "copy"});
  CHECK(outcome.exit_code == 1);
  CHECK_THAT(outcome.err, Contains("p/../escaped: has a part '..'"));
  CHECK(desk.files() == Names{"copy/a", "copy/b/c", "copy/spaced out", "copy/\xF0\x9F\x90\x9F"});
  CHECK(desk.zdb({"get", "-r", "none/", "copy"}).exit_code == 3);
  CHECK(desk.zdb({"get", "-r", "p", "copy"}).exit_code == 2);
  CHECK(desk.zdb({"get", "-r", "p/"}).exit_code == 2);
}

TEST_CASE("zdb put -r and get -r: a folder comes back as it was", "[tools]") {
  Desk desk;
  for (int i = 0; i < 30; ++i)
    desk.write("d/" + std::to_string(i), std::string(i * 7000, 'x'));
  CHECK(desk.zdb({"put", "-r", "d"}).exit_code == 0);
  CHECK(desk.zdb({"get", "-r", "d/", "e"}).exit_code == 0);
  for (int i = 0; i < 30; ++i) {
    CHECK(desk.read("e/" + std::to_string(i)) == std::string(i * 7000, 'x'));
  }
}

TEST_CASE("zdb ls: keys as they are, with details, or as JSON", "[tools]") {
  Desk desk;
  desk.keep("a", "1");
  desk.keep("b/line\nbreak", "22");
  desk.keep("b/c", std::string(12345, 'x'));
  CHECK(desk.zdb({"ls"}).out == "a\nb/c\nb/line\nbreak\n");
  CHECK(desk.zdb({"ls", "b/c"}).out == "b/c\n");
  CHECK(desk.zdb({"ls", "none"}).out.empty());
  CHECK(desk.zdb({"ls", "none"}).exit_code == 0);
  const auto details = desk.zdb({"ls", "-l", "b/c"}).out;
  CHECK_THAT(details, Contains("12345  ") && Contains("  b/c\n"));
  const auto json = nlohmann::json::parse(desk.zdb({"ls", "b/", "--json"}).out);
  REQUIRE(json.size() == 2);
  CHECK(json[1]["key"] == "b/line\nbreak");
  CHECK(json[0]["size"] == 12345);
  CHECK(nlohmann::json::parse(desk.zdb({"ls", "none", "--json"}).out).empty());
}

TEST_CASE("zdb ls: more than a page", "[tools]") {
  Desk desk;
  std::set<std::string> keys;
  for (int i = 0; i < 1234; ++i)
    desk.keep(*keys.insert("k" + std::to_string(i)).first, "");
  std::string all;
  for (const auto& key : keys)
    all += key + "\n";
  CHECK(desk.zdb({"ls"}).out == all);
}

TEST_CASE("zdb stat: for people and as JSON", "[tools]") {
  Desk desk;
  desk.keep("a", "12345");
  CHECK_THAT(desk.zdb({"stat", "a"}).out, Contains("key          a\n") && Contains("5 (5 B)"));
  const auto json = nlohmann::json::parse(desk.zdb({"stat", "a", "--json"}).out);
  CHECK(json["size"] == 5);
  CHECK(desk.zdb({"stat", "none"}).exit_code == 3);
}

TEST_CASE("zdb rm: keys, and all under a prefix", "[tools]") {
  Desk desk;
  for (const auto* key : {"a", "b", "c", "p/1", "p/2", "p/deep/3", "pq"})
    desk.keep(key, "");
  CHECK(desk.zdb({"rm", "a", "b"}).exit_code == 0);
  const auto outcome = desk.zdb({"rm", "none", "c"});
  CHECK(outcome.exit_code == 3);
  CHECK_THAT(outcome.err, Contains("none: there is no such object"));
  CHECK(desk.keys() == Names{"p/1", "p/2", "p/deep/3", "pq"});
  CHECK(desk.zdb({"rm", "-r", "p"}).exit_code == 2);
  CHECK(desk.zdb({"rm", "-r", ""}).exit_code == 2);
  CHECK(desk.zdb({"rm", "-r", "p/"}).exit_code == 0);
  CHECK(desk.keys() == Names{"pq"});
  CHECK(desk.zdb({"rm", "-r", "p/"}).exit_code == 3);
}

TEST_CASE("zdb status, invite and owner", "[tools]") {
  Desk desk;
  CHECK_THAT(desk.zdb({"status"}).out,
             Contains("node1") && Contains("here") && Contains("down for 1 min 30 s"));
  const auto json = nlohmann::json::parse(desk.zdb({"status", "--json"}).out);
  CHECK(json["members"][1]["name"] == "node2");
  CHECK(desk.zdb({"invite"}).out == "ticket-3600\n");
  CHECK(desk.zdb({"invite", "--share-owner", "--expires", "15m"}).out == "ticket-900-owner\n");
  CHECK(desk.zdb({"invite", "--expires", "soon"}).exit_code == 2);
  CHECK(desk.zdb({"owner", "id"}).out == "cd\n");
  CHECK(desk.zdb({"owner", "export"}).out == "AAAAA BBBBB\n");
  CHECK(desk.zdb({"owner", "import"}, "TEXT").out == "new:TEXT\n");
  desk.write("paper", "PAPER");
  CHECK(desk.zdb({"owner", "import", "paper", "--replace"}).out == "replaced:PAPER\n");
  CHECK(desk.zdb({"owner", "import", "none"}).exit_code == 1);
  CHECK(desk.zdb({"owner", "import"}, std::string(5000, 'x')).exit_code == 1);
  CHECK(desk.zdb({"owner"}).exit_code == 2);
}

TEST_CASE("zdb: names may be anything", "[tools]") {
  Desk desk;
  desk.write("f", "F");
  for (const std::string key : {"[a,b]", "{}", "++", "%%", "\x01", "put", "ls", "a b", "'\"\\",
                                "x\ny", "../../x", "/abs", "-", "--"}) {
    INFO(key);
    REQUIRE(desk.zdb({"put", "--", "f", key}).exit_code == 0);
    CHECK(desk.kept(key) == "F");
    CHECK(desk.zdb({"get", "--", key, "-"}).out == "F");
    CHECK(desk.zdb({"rm", "--", key}).exit_code == 0);
    CHECK(desk.keys().empty());
  }
  for (const std::string key : {"[a,b]", "{}", "++", "put", "get", "owner"}) {
    INFO(key);
    REQUIRE(desk.zdb({"put", "f", key}).exit_code == 0);
    CHECK(desk.kept(key) == "F");
    CHECK(desk.zdb({"rm", key}).exit_code == 0);
  }
  CHECK(desk.zdb({"put", "f", "--", "--quiet"}).exit_code == 0);
  CHECK(desk.keys() == Names{"--quiet"});
}

TEST_CASE("zdb: options may stand anywhere", "[tools]") {
  Desk desk;
  desk.keep("a", "A");
  const auto node = desk.node.folder().string();
  const auto zdb = [&](Names arguments) {
    return RunningZdb(std::move(arguments), desk.here.path(), "").wait().out;
  };
  CHECK(zdb({"ls", "--node", node}) == "a\n");
  CHECK(zdb({"--node=" + node, "ls"}) == "a\n");
  CHECK(zdb({"ls", "a", "-q", "--node", node}) == "a\n");
  CHECK(zdb({"owner", "id", "--node", node}) == "cd\n");
}

TEST_CASE("zdb: without a node it says how to start one, and answers 5", "[tools]") {
  const TempDir here;
  const auto zdb = [&](Names arguments) {
    return RunningZdb(std::move(arguments), here.path(), "").wait();
  };
  const auto outcome = zdb({"--node", here.path().string(), "ls"});
  CHECK(outcome.exit_code == 5);
  CHECK(outcome.err == "zdb: no node is running on " + here.path().string() +
                           "; start it with: zerodb-node run --data " + here.path().string() +
                           "\n");
  CHECK(zdb({"--node", "nowhere", "status"}).exit_code == 5);
  const auto longest = zdb({"--node", std::string(200, 'x'), "ls"});
  CHECK(longest.exit_code == 1);
  CHECK_THAT(longest.err, Contains("too long for a socket"));
}

TEST_CASE("zdb put: a file that grows meanwhile is stored as it was, with a warning", "[tools]") {
  Desk desk;
  desk.write("log", large);
  desk.node.look([&] { desk.node.held = "put"; });
  auto running = desk.start({"put", "log"});
  CHECK(desk.node.eventually([&] { return !desk.node.started.empty(); }));
  desk.write("log", large + "and more");
  desk.node.release();
  const auto outcome = running.wait();
  CHECK(outcome.exit_code == 0);
  CHECK_THAT(outcome.err, Contains("warning: log has grown meanwhile"));
  CHECK(desk.kept("log") == large);
}

TEST_CASE("zdb put: a file that is written meanwhile is stored with a warning", "[tools]") {
  Desk desk;
  desk.write("image", large);
  desk.node.look([&] { desk.node.held = "put"; });
  auto running = desk.start({"put", "image"});
  CHECK(desk.node.eventually([&] { return !desk.node.started.empty(); }));
  desk.write("image", std::string(large.size(), 'z'));
  desk.node.release();
  const auto outcome = running.wait();
  CHECK(outcome.exit_code == 0);
  CHECK_THAT(outcome.err, Contains("warning: image was written meanwhile"));
}

TEST_CASE("zdb: a node that stops in the middle is answered with 5", "[tools]") {
  Desk desk;
  desk.write("large", large);
  desk.node.look([&] { desk.node.held = "put_data"; });
  auto running = desk.start({"put", "large"});
  CHECK(desk.node.eventually([&] { return desk.node.unanswered_bytes > 0; }));
  desk.node.stop();
  const auto outcome = running.wait();
  CHECK(outcome.exit_code == 5);
  CHECK_THAT(outcome.err, Contains("stopped"));
}

TEST_CASE("zdb: what the node answers decides the exit code", "[tools]") {
  Desk desk;
  desk.node.look([&] { desk.node.failing = "stat"; });
  const auto code = [&](Errc failure) {
    desk.node.look([&] { desk.node.failure = {failure, "it broke"}; });
    const auto outcome = desk.zdb({"stat", "k"});
    CHECK(outcome.err == "zdb: k: it broke\n");
    return outcome.exit_code;
  };
  CHECK(code(Errc::io) == 1);
  CHECK(code(Errc::invalid) == 1);
  CHECK(code(Errc::busy) == 1);
  CHECK(code(Errc::not_found) == 3);
  CHECK(code(Errc::denied) == 4);
  CHECK(code(Errc::no_quorum) == 5);
  CHECK(code(Errc::timeout) == 5);
  CHECK(code(Errc::corrupt) == 6);
  CHECK(code(Errc::full) == 7);
}

TEST_CASE("zdb: help, version and wrong use", "[tools]") {
  Desk desk;
  CHECK(desk.zdb({"--version"}).out == "0.1.0\n");
  for (const auto* verb : {"put", "get", "ls", "stat", "rm", "status", "invite"}) {
    const auto help = desk.zdb({verb, "--help"});
    CHECK(help.exit_code == 0);
    CHECK_THAT(help.out, Contains("Usage: zdb " + std::string(verb)) && Contains("Examples:"));
  }
  const auto unknown = desk.zdb({"fly", "away"});
  CHECK(unknown.exit_code == 2);
  CHECK_THAT(unknown.err, Contains("fly"));
  CHECK(desk.zdb({"ls", "--fly"}).exit_code == 2);
  CHECK(desk.zdb({}).exit_code == 2);
}
