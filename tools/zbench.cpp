// zbench: measures zerodb on this machine. The workloads:
//
//   roofline    what the machine allows: seal, leaf hash, CURVE hop, ipc hop, write + fdatasync
//   put         large objects through one gateway            (1 x 1 GiB)
//   get         the same, read through another gateway       (1 x 1 GiB)
//   small-put   inline objects, many at a time               (20,000 x 4 KiB, 16 at a time)
//   small-get   the same, read through another gateway       (20,000 x 4 KiB, 16 at a time)
//   delete      deletions of such objects                    (5,000, 16 at a time)
//   client-cost small puts one at a time, and what of their time the node spends
//               on the put itself                            (4,000 x 4 KiB)
//
// Daemons run as separate processes from the folder that holds zbench.

#include <signal.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>
#include <system_error>
#include <zmq.hpp>

#include "bus/standard_streams.hpp"
#include "store/hash.hpp"
#include "store/version.hpp"
#include "tools/kept_memory.hpp"
#include "tools/zbench_mesh.hpp"
#include "tools/zbench_report.hpp"

namespace {

using namespace zerodb;
using namespace zerodb::bench;

struct Settings {
  WorkOptions work;
  std::string folder;
  bool json = false;
};

int complain(const Error& error) {
  std::cerr << "zbench: " << error.what << '\n';
  return 1;
}

int print_roofline(const Settings& settings) {
  auto roofline = measure_roofline(settings.folder);
  if (!roofline) return complain(roofline.error());
  const auto document = to_json(*roofline);
  std::cout << (settings.json ? document.dump(2) + "\n" : roofline_table(document));
  return 0;
}

int run_and_print(const Settings& settings) {
  const auto& work = settings.work;
  const bool by_bytes = work.workload == Workload::put || work.workload == Workload::get;
  std::optional<Roofline> roofline;
  if (by_bytes) {
    auto measured = measure_roofline(settings.folder);
    if (!measured) return complain(measured.error());
    roofline = *measured;
  }
  auto mesh = BenchMesh::start(work.replicas, settings.folder);
  if (!mesh) return complain(mesh.error());
  auto result = run_workload(work, **mesh);
  if (!result) return complain(result.error());
  const auto document = to_json(work, *result, roofline ? &*roofline : nullptr);
  std::cout << (settings.json ? document.dump(2) + "\n" : work_table(document));
  return 0;
}

int run(bool is_roofline, const Settings& settings) {
  if (settings.folder.empty()) {
    return complain({Errc::invalid, "TMPDIR is no folder; name another one with --data"});
  }
  try {
    return is_roofline ? print_roofline(settings) : run_and_print(settings);
  } catch (const zmq::error_t& error) {
    return complain({Errc::io, "sockets in " + settings.folder + ": " + error.what()});
  }
}

/// Empty if TMPDIR is no folder.
std::string temporary_folder() {
  std::error_code is_none;
  return std::filesystem::temp_directory_path(is_none).string();
}

struct Defaults {
  Workload workload;
  const char* help;
  std::uint64_t size;
  std::uint64_t count;
  unsigned concurrency;
};

constexpr Defaults workloads[] = {
    {Workload::put, "Put large objects through one gateway", 1ULL << 30, 1, 1},
    {Workload::get, "Get them through another gateway", 1ULL << 30, 1, 1},
    {Workload::small_put, "Put small objects, many at a time", 4096, 20'000, 16},
    {Workload::small_get, "Get small objects, many at a time", 4096, 20'000, 16},
    {Workload::remove, "Delete small objects, many at a time", 4096, 5'000, 16},
    {Workload::client_cost, "What the client protocol adds to a small put", 4096, 4'000, 1},
};

void add_workload(CLI::App& app, const Defaults& defaults, Settings& settings) {
  auto* command = app.add_subcommand(std::string(to_string(defaults.workload)), defaults.help);
  command->preparse_callback([&settings, defaults](std::size_t) {
    settings.work = {defaults.workload, defaults.size, defaults.count, defaults.concurrency, 3};
  });
  auto& work = settings.work;
  command->add_option("--size", work.size, "Bytes of an object; 64KiB, 1GiB and the like work")
      ->transform(CLI::AsSizeValue(false));
  command->add_option("--count", work.count, "Objects")->check(CLI::PositiveNumber);
  command->add_option("--concurrency", work.concurrency, "Clients at once")
      ->check(CLI::Range(1, 1024));
  command->add_option("--replicas,-R", work.replicas, "Nodes in the mesh, and copies")
      ->check(CLI::Range(1, 3));
}

}  // namespace

int main(int argc, char** argv) {
  zerodb::hold_standard_streams();
  zerodb::tools::keep_freed_memory();
  Settings settings{.folder = temporary_folder()};
  CLI::App app{"zbench: measure zerodb on this machine", "zbench"};
  app.set_version_flag("--version", std::string{version()});
  app.add_flag("--json", settings.json, "Print JSON instead of a table");
  app.add_option("--data", settings.folder, "Where to make the daemons' folders")
      ->check(CLI::ExistingDirectory);
  app.require_subcommand(1)->fallthrough();
  app.add_subcommand("roofline", "What this machine allows, step by step");
  for (const auto& defaults : workloads)
    add_workload(app, defaults, settings);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  signal(SIGPIPE, SIG_IGN);
  remove_mesh_on_signals();
  if (auto ready = initialise_crypto(); !ready) return complain(ready.error());
  return run(app.got_subcommand("roofline"), settings);
}
