#include "tests/sim/faults/totals.hpp"

#include <fmt/format.h>

#include <sstream>

namespace zerodb::sim {

namespace {

const std::string count_mark = "count ";
const std::string fault_mark = "fault ";

}  // namespace

std::string to_text(const RunReport& report) {
  std::string text;
  const auto count = [&](const std::string& name, std::uint64_t number) {
    text += fmt::format("{}{} {}\n", count_mark, number, name);
  };
  count("virtual ms", report.virtual_ms);
  count("writes", report.counts.writes);
  count("reads", report.counts.reads);
  count("fresh", report.counts.fresh);
  count("lists", report.counts.lists);
  count("refused", report.counts.failed);
  for (const auto& [kind, number] : report.faults)
    count(fault_mark + kind, number);
  if (!report.finding) return text;
  text += fmt::format("check '{}' failed: {}\n  {}\n", report.finding->check,
                      report.finding->sentence, report.scenario);
  for (const auto& line : report.last_lines)
    text += "  " + line + "\n";
  return text;
}

std::string Totals::add(const std::string& text) {
  ++runs_;
  std::string rest;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(count_mark)) {
      rest += line + "\n";
      continue;
    }
    std::size_t used = 0;
    const auto number = std::stoull(line.substr(count_mark.size()), &used);
    counts_[line.substr(count_mark.size() + used + 1)] += number;
  }
  return rest;
}

std::uint64_t Totals::get(const std::string& name) const {
  const auto found = counts_.find(name);
  return found == counts_.end() ? 0 : found->second;
}

std::string Totals::summary(double wall_s) const {
  const auto hours = static_cast<double>(get("virtual ms")) / 3'600'000;
  std::string faults;
  for (const auto& [name, number] : counts_) {
    if (!name.starts_with(fault_mark)) continue;
    faults +=
        fmt::format("{}{} {}", faults.empty() ? "" : ", ", name.substr(fault_mark.size()), number);
  }
  return fmt::format(
      "{} seeds, {} failed; {:.0f} virtual hours in {:.0f} s ({:.0f} a minute); {} writes "
      "acknowledged, {} reads ({} by a quorum), {} lists, {} operations failed; faults: {}",
      runs_, failed_, hours, wall_s, hours * 60 / wall_s, get("writes"), get("reads"), get("fresh"),
      get("lists"), get("refused"), faults);
}

}  // namespace zerodb::sim
