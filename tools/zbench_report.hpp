#pragma once
// Benchmark results as tables for people and as JSON for programs.

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "tools/zbench_roofline.hpp"
#include "tools/zbench_work.hpp"

namespace zerodb::bench {

nlohmann::json machine_json();
nlohmann::json to_json(const Roofline& roofline);
/// `roofline` is null when the workload is not bound by bytes.
nlohmann::json to_json(const WorkOptions& options, const WorkResult& result,
                       const Roofline* roofline);

/// The same documents as aligned text.
std::string roofline_table(const nlohmann::json& document);
std::string work_table(const nlohmann::json& document);

std::string_view to_string(Workload workload);

}  // namespace zerodb::bench
