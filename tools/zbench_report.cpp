#include "tools/zbench_report.hpp"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "store/version.hpp"

namespace zerodb::bench {

namespace {

using Json = nlohmann::json;

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

std::string machine_line(const Json& machine) {
  return fmt::format("machine   {} x {}, {}, zerodb {}\n", machine["cores"].get<unsigned>(),
                     machine["processor"].get<std::string>(), machine["system"].get<std::string>(),
                     machine["zerodb"].get<std::string>());
}

Json step_json(const Step& step) {
  return {{"cpu_s_per_gb", step.cpu_s}, {"gb_per_s", step.wall_s > 0 ? 1 / step.wall_s : 0.0}};
}

constexpr double megabyte = 1e6;
constexpr double mebibyte = 1024 * 1024;

}  // namespace

std::string_view to_string(Workload workload) {
  switch (workload) {
    case Workload::put:
      return "put";
    case Workload::get:
      return "get";
    case Workload::small_put:
      return "small-put";
    case Workload::small_get:
      return "small-get";
    case Workload::remove:
      return "delete";
    case Workload::client_cost:
      return "client-cost";
  }
  return "?";
}

Json machine_json() {
  utsname system{};
  uname(&system);
  return {{"cores", std::thread::hardware_concurrency()},
          {"processor", processor_name()},
          {"system", std::string(system.sysname) + " " + system.release},
          {"zerodb", version()}};
}

Json to_json(const Roofline& roofline) {
  Json steps = {
      {"seal", step_json(roofline.seal)},          {"open", step_json(roofline.open)},
      {"leaf", step_json(roofline.leaf)},          {"curve hop", step_json(roofline.curve_hop)},
      {"ipc hop", step_json(roofline.ipc_hop)},    {"write+sync", step_json(roofline.write_sync)},
      {"read back", step_json(roofline.read_back)}};
  Json allows = Json::array();
  for (const unsigned replicas : {1U, 3U}) {
    allows.push_back({{"replicas", replicas},
                      {"put_mb_per_s", roofline.put_bytes_per_s(replicas) / megabyte},
                      {"get_mb_per_s", roofline.get_bytes_per_s(replicas) / megabyte}});
  }
  return {{"machine", machine_json()}, {"steps", steps}, {"allows", allows}};
}

Json to_json(const WorkOptions& options, const WorkResult& result, const Roofline* roofline) {
  const double rate = static_cast<double>(result.bytes) / result.wall_s;
  Json document = {{"machine", machine_json()},
                   {"workload", to_string(options.workload)},
                   {"size", options.size},
                   {"count", options.count},
                   {"concurrency", options.concurrency},
                   {"replicas", options.replicas},
                   {"wall_s", result.wall_s},
                   {"mb_per_s", rate / megabyte},
                   {"ops_per_s", static_cast<double>(result.operations) / result.wall_s},
                   {"p50_ms", result.p50_ms},
                   {"p99_ms", result.p99_ms},
                   {"processes", Json::array()}};
  if (result.node_p50_ms) {
    document["node_p50_ms"] = *result.node_p50_ms;
    document["client_cost_us"] = (result.p50_ms - *result.node_p50_ms) * 1000;
    document["ipc_cost_us"] = *result.ipc_cost_ms * 1000;
  }
  for (const auto& use : result.processes) {
    document["processes"].push_back({{"name", use.name},
                                     {"cpu_s", use.cpu_s},
                                     {"peak_mib", static_cast<double>(use.peak_bytes) / mebibyte}});
  }
  if (roofline != nullptr) {
    const bool writes = options.workload == Workload::put;
    const double allowed = writes ? roofline->put_bytes_per_s(options.replicas)
                                  : roofline->get_bytes_per_s(options.replicas);
    document["roofline_mb_per_s"] = allowed / megabyte;
    document["roofline_share"] = rate / allowed;
  }
  return document;
}

std::string roofline_table(const Json& document) {
  std::string text = machine_line(document["machine"]);
  text += fmt::format("\n{:<12}{:>14}{:>12}\n", "step", "CPU s per GB", "GB/s");
  for (const auto& [name, step] : document["steps"].items()) {
    text += fmt::format("{:<12}{:>14.2f}{:>12.2f}\n", name, step["cpu_s_per_gb"].get<double>(),
                        step["gb_per_s"].get<double>());
  }
  text += fmt::format("\n{:<12}{:>14}{:>12}\n", "allows", "put MB/s", "get MB/s");
  for (const auto& row : document["allows"]) {
    text += fmt::format("R = {:<8}{:>14.0f}{:>12.0f}\n", row["replicas"].get<unsigned>(),
                        row["put_mb_per_s"].get<double>(), row["get_mb_per_s"].get<double>());
  }
  return text;
}

std::string work_table(const Json& document) {
  std::string text = machine_line(document["machine"]);
  text +=
      fmt::format("settings  {} of {} bytes x {}, {} at a time, R = {}\n\n",
                  document["workload"].get<std::string>(), document["size"].get<std::uint64_t>(),
                  document["count"].get<std::uint64_t>(), document["concurrency"].get<unsigned>(),
                  document["replicas"].get<unsigned>());
  text += fmt::format("time      {:.2f} s\nrate      {:.1f} MB/s, {:.0f} operations/s\n",
                      document["wall_s"].get<double>(), document["mb_per_s"].get<double>(),
                      document["ops_per_s"].get<double>());
  text += fmt::format("latency   p50 {:.2f} ms, p99 {:.2f} ms\n", document["p50_ms"].get<double>(),
                      document["p99_ms"].get<double>());
  if (document.contains("client_cost_us")) {
    text +=
        fmt::format("node      p50 {:.3f} ms of {:.3f} ms: the client protocol adds {:.0f} us\n",
                    document["node_p50_ms"].get<double>(), document["p50_ms"].get<double>(),
                    document["client_cost_us"].get<double>());
    text +=
        fmt::format("ipc       bare libzmq sockets add {:.0f} us to an answer that takes as long\n",
                    document["ipc_cost_us"].get<double>());
  }
  if (document.contains("roofline_share")) {
    text += fmt::format("roofline  {:.0f} MB/s on this machine, in this run: {:.0f}% reached\n",
                        document["roofline_mb_per_s"].get<double>(),
                        100 * document["roofline_share"].get<double>());
  }
  text += fmt::format("\n{:<12}{:>10}{:>14}\n", "process", "CPU s", "peak MiB");
  for (const auto& use : document["processes"]) {
    text += fmt::format("{:<12}{:>10.2f}{:>14.0f}\n", use["name"].get<std::string>(),
                        use["cpu_s"].get<double>(), use["peak_mib"].get<double>());
  }
  return text;
}

}  // namespace zerodb::bench
