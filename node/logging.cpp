#include "node/logging.hpp"

#include <algorithm>
#include <array>
#include <memory>

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "store/bytes.hpp"

namespace zerodb {

namespace {

using namespace std::string_view_literals;

constexpr std::array levels{"trace"sv, "debug"sv, "info"sv, "warn"sv, "error"sv, "off"sv};

/// The flag %* of a pattern: the message, safe inside JSON quotes.
class JsonMessage : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& to) override {
    const auto text = json_escaped({message.payload.data(), message.payload.size()});
    to.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JsonMessage>();
  }
};

std::unique_ptr<spdlog::pattern_formatter> formatter_of(const LogOptions& options) {
  const auto utc = spdlog::pattern_time_type::utc;
  auto formatter = std::make_unique<spdlog::pattern_formatter>(utc);
  if (options.json) {
    formatter->add_flag<JsonMessage>('*').set_pattern(
        R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","message":"%*"})");
  } else {
    formatter->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v");
  }
  return formatter;
}

}  // namespace

Status check_log_level(std::string_view level) {
  if (std::ranges::find(levels, level) != levels.end()) return {};
  return fail(Errc::invalid, "log level '" + printable(level) +
                                 "': trace, debug, info, warn, error or off expected");
}

Status set_up_logging(const LogOptions& options) {
  if (auto checked = check_log_level(options.level); !checked) return checked;
  auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  auto logger = std::make_shared<spdlog::logger>("zerodb", std::move(sink));
  logger->set_formatter(formatter_of(options));
  logger->set_level(spdlog::level::from_str(options.level));
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
  return {};
}

std::string json_escaped(std::string_view text) {
  constexpr auto hex = "0123456789abcdef"sv;
  std::string escaped;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      escaped += '\\';
      escaped += c;
    } else if (byte < 0x20) {
      escaped += "\\u00";
      escaped += hex[byte >> 4];
      escaped += hex[byte & 15];
    } else {
      escaped += c;
    }
  }
  return escaped;
}

}  // namespace zerodb
