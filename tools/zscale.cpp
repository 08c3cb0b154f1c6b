// zscale: what placement does with millions of objects on many nodes, and what a node of such a
// mesh costs in memory and messages. Nothing is stored; no daemon runs. See node/DESIGN.md for what
// the figures mean.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "store/hash.hpp"
#include "store/version.hpp"
#include "tools/zscale_links.hpp"
#include "tools/zscale_model.hpp"

namespace {

using namespace zerodb;
using namespace zerodb::scale;
using Json = nlohmann::json;

constexpr double mebibyte = 1024 * 1024;
constexpr std::size_t connections_measured = 200;

// What a node does with each other one, see PROTOCOL.md: a control lane, two data lanes and a
// subscription; a greeting a second each way; a round of digests every ten minutes each way.
constexpr double connections_a_peer = 4;
constexpr double greetings_a_peer_a_minute = 4;  // asked and answered, in both directions
constexpr double digest_rounds_a_minute = 0.2;   // both directions
constexpr double digest_bytes = 16.0 * partition_count;

struct Settings {
  std::uint64_t objects = 10'000'000;
  std::vector<std::size_t> nodes{10, 100, 1000};
  std::size_t zones = 0;
  std::uint64_t seed = 1;
  bool json = false;
};

Json to_json(const Movement& movement) {
  return {{"bytes", movement.bytes},
          {"to_ideal", movement.bytes / movement.ideal_bytes},
          {"to_least", movement.bytes / movement.least_bytes}};
}

Json describe_mesh(const Load& load, const MeshSpec& spec, double connection_bytes) {
  const auto roster = make_roster(spec);
  const auto begun = std::chrono::steady_clock::now();
  const Placement placement(roster);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begun;
  const auto balance = measure_balance(load, roster, placement);
  const auto join = measure_join(load, spec);
  const auto leave = measure_leave(load, spec);
  const auto peers = static_cast<double>(spec.nodes - 1);
  const auto signed_roster = SignedRoster::sign(roster, SigningKey::generate());
  return {
      {"nodes", spec.nodes},
      {"objects_max_to_mean", balance.objects_max_to_mean},
      {"bytes_max_to_mean", balance.bytes_max_to_mean},
      {"join", to_json(join)},
      {"leave", to_json(leave)},
      {"zone_conflicts", spec.zones > 0 ? count_zone_conflicts(roster, placement) : 0},
      {"placement_ms", took.count()},
      {"roster_bytes", signed_roster.wire().size()},
      {"idle_messages_a_minute", peers * (greetings_a_peer_a_minute + 2 * digest_rounds_a_minute)},
      {"idle_digest_bytes_a_minute", peers * digest_rounds_a_minute * digest_bytes},
      {"links_bytes", peers * connections_a_peer * connection_bytes}};
}

std::string movement_text(const Json& movement, double total_bytes) {
  return fmt::format("{:>6.2f}% {:>6.2f} {:>6.2f}",
                     100 * movement["bytes"].get<double>() / total_bytes,
                     movement["to_ideal"].get<double>(), movement["to_least"].get<double>());
}

std::string line_of(const Json& mesh, double total_bytes) {
  const auto value = [&](const char* name) { return mesh[name].get<double>(); };
  return fmt::format("{:>5} {:>8.2f} {:>6.2f}  {}  {}  {:>9.0f} {:>7.0f} {:>10.0f} {:>7.1f}\n",
                     mesh["nodes"].get<std::size_t>(), value("objects_max_to_mean"),
                     value("bytes_max_to_mean"), movement_text(mesh["join"], total_bytes),
                     movement_text(mesh["leave"], total_bytes), value("placement_ms"),
                     value("roster_bytes") / 1024, value("idle_messages_a_minute"),
                     value("links_bytes") / mebibyte);
}

constexpr std::string_view table_head =
    "         max/mean      join: moved            leave: moved         placement  roster   "
    "messages  "
    " links\n"
    "nodes  objects  bytes   of all /ideal /least   of all /ideal /least         ms     KiB   a "
    "minute"
    "     MiB\n";

std::string table_of(const Json& document) {
  const auto total_bytes = document["bytes"].get<double>();
  auto text = fmt::format(
      "{} objects of {:.1f} GB in all, {} partitions, {} zones, seed {}, zerodb {}\n"
      "a connection costs {:.1f} KiB, both ends\n\n{}",
      document["objects"].get<std::uint64_t>(), total_bytes / 1e9, partition_count,
      document["zones"].get<std::size_t>(), document["seed"].get<std::uint64_t>(),
      document["zerodb"].get<std::string>(), document["connection_bytes"].get<double>() / 1024,
      table_head);
  for (const auto& mesh : document["meshes"])
    text += line_of(mesh, total_bytes);
  return text + "\n'of all': of one copy of everything. Messages are those of an idle mesh.\n";
}

int run(const Settings& settings) {
  const auto connection_bytes = measure_connection_bytes(connections_measured);
  if (!connection_bytes) {
    std::cerr << "zscale: " << connection_bytes.error().what << '\n';
    return 1;
  }
  const auto load = draw_load(settings.objects, settings.seed);
  Json document{{"objects", load.total.objects},    {"bytes", load.total.bytes},
                {"zones", settings.zones},          {"seed", settings.seed},
                {"zerodb", std::string(version())}, {"connection_bytes", *connection_bytes},
                {"meshes", Json::array()}};
  for (const auto nodes : settings.nodes) {
    const MeshSpec spec{.nodes = nodes, .zones = settings.zones, .seed = settings.seed};
    document["meshes"].push_back(describe_mesh(load, spec, *connection_bytes));
  }
  std::cout << (settings.json ? document.dump(2) + "\n" : table_of(document));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Places many objects on many nodes, on paper, and says how well it goes", "zscale");
  app.set_version_flag("--version", "zscale " + std::string(version()));
  app.add_option("--objects", settings.objects, "Objects to place")->check(CLI::PositiveNumber);
  app.add_option("--nodes", settings.nodes, "Sizes of meshes, such as 10,100")
      ->delimiter(',')
      ->check(CLI::Range(std::size_t{4}, members_max));
  app.add_option("--zones", settings.zones, "Zones that the nodes are in, in turn; 0: none");
  app.add_option("--seed", settings.seed, "Of everything random");
  app.add_flag("--json", settings.json, "For programs");
  CLI11_PARSE(app, argc, argv);
  if (!initialise_crypto()) return 1;
  return run(settings);
}
