#include "node/config.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <variant>

#include <toml++/toml.h>

#include "node/host_port.hpp"
#include "node/logging.hpp"
#include "store/bytes.hpp"
#include "store/file.hpp"

namespace zerodb {

namespace {

using namespace std::string_view_literals;

Status check_listen(std::string_view text) {
  auto parsed = parse_host_port(text);
  return parsed ? Status{} : fail(std::move(parsed.error()));
}

Status check_listen_or_empty(std::string_view text) {
  return text.empty() ? Status{} : check_listen(text);
}

Status check_host_or_empty(std::string_view text) {
  if (text.empty()) return {};
  auto parsed = parse_host_port(std::string(text) + ":1");
  if (parsed && !parsed->is_wildcard()) return {};
  return fail(Errc::invalid, "'" + printable(text) +
                                 "' is not a host that others can dial (IPv6 goes in brackets)");
}

using Text = std::string Config::*;
using Flag = bool Config::*;
using Number = std::uint32_t Config::*;
using Size = std::uint64_t Config::*;

struct Setting {
  std::string_view key;
  std::string_view comment;  ///< lines of the file, without their '#'
  std::variant<Text, Flag, Number, Size> field;
  std::uint64_t least = 0;  ///< of a number or size
  std::uint64_t most = 0;
  Status (*check)(std::string_view) = nullptr;  ///< of a text
};

const std::array settings{
    Setting{.key = "listen",
            .comment = "HOST:PORT where other nodes reach this one. Port 0 takes any free port\n"
                       "and keeps to it. To listen on every interface: \"0.0.0.0:7710\", together\n"
                       "with advertise.",
            .field = &Config::listen,
            .check = check_listen},
    Setting{.key = "broadcast_listen",
            .comment = "HOST:PORT of this node's broadcasts. Empty: the port after listen's, or\n"
                       "any free one.",
            .field = &Config::broadcast_listen,
            .check = check_listen_or_empty},
    Setting{.key = "advertise",
            .comment = "The host that is announced to the other nodes. Empty: listen's.",
            .field = &Config::advertise,
            .check = check_host_or_empty},
    Setting{.key = "client_listen",
            .comment =
                "HOST:PORT where programs on other machines reach this node with what\n"
                "`zdb client add` prints. Empty: no such program is served. Port 0 takes\n"
                "any free port and keeps to it as long as it can; a fixed one is better, as\n"
                "credentials name it: \"0.0.0.0:7720\", together with advertise.",
            .field = &Config::client_listen,
            .check = check_listen_or_empty},
    Setting{.key = "data_lanes",
            .comment = "Connections for content to each other node, besides the one for control.",
            .field = &Config::data_lanes,
            .least = 1,
            .most = 8},
    Setting{.key = "io_threads",
            .comment =
                "Threads that encrypt and decrypt what goes over the network: some 300 MB/s\n"
                "each. 0: one for every four cores.",
            .field = &Config::io_threads,
            .least = 0,
            .most = 32},
    Setting{.key = "disk_threads",
            .comment = "Threads that read, write, seal and open. Small writes share an fsync, so\n"
                       "more of them than cores is right.",
            .field = &Config::disk_threads,
            .least = 1,
            .most = 256},
    Setting{.key = "ping_interval_ms",
            .comment = "How often each other node is asked whether it is there.",
            .field = &Config::ping_interval_ms,
            .least = 50,
            .most = 60'000},
    Setting{.key = "down_after_ms",
            .comment = "Silent for this long, a node counts as down. More than ping_interval_ms.",
            .field = &Config::down_after_ms,
            .least = 200,
            .most = 600'000},
    Setting{.key = "reconcile_interval_s",
            .comment = "How often this node compares what it holds with the others.",
            .field = &Config::reconcile_interval_s,
            .least = 1,
            .most = 86'400},
    Setting{.key = "superseded_keep_s",
            .comment = "How long a version is kept after a later one took its place, for those\n"
                       "who are reading it.",
            .field = &Config::superseded_keep_s,
            .least = 60,
            .most = 31'536'000},
    Setting{.key = "move_rate_max",
            .comment =
                "How many bytes a second this node fetches at most, on average, to take over\n"
                "or catch up with what others hold. 0: as fast as it can.",
            .field = &Config::move_rate_max,
            .least = 0,
            .most = 1ULL << 40},
    Setting{.key = "scrub_days",
            .comment = "How often all that lies on this node's disk is read and verified.",
            .field = &Config::scrub_days,
            .least = 1,
            .most = 3'650},
    Setting{.key = "scrub_bytes_per_s",
            .comment = "At least as fast a scrub reads; faster if scrub_days need it.",
            .field = &Config::scrub_bytes_per_s,
            .least = 4ULL << 10,
            .most = 1ULL << 40},
    Setting{.key = "reserve_bytes",
            .comment = "Objects are refused, and the node only reads, while less than this is free "
                       "on the disk.",
            .field = &Config::reserve_bytes,
            .least = 1ULL << 20,
            .most = 1ULL << 50},
    Setting{.key = "index_cache_bytes",
            .comment =
                "How much of the index is kept in memory once it was read, besides what the\n"
                "system caches of its files.",
            .field = &Config::index_cache_bytes,
            .least = 1ULL << 20,
            .most = 1ULL << 40},
    Setting{.key = "transfer_credit_bytes",
            .comment = "How much of one object may be on its way here and not yet on the disk.",
            .field = &Config::transfer_credit_bytes,
            .least = 2ULL << 20,
            .most = 1ULL << 30},
    Setting{
        .key = "events_keep_days",
        .comment = "How long a follower of the owner's events may be away before it misses any.",
        .field = &Config::events_keep_days,
        .least = 1,
        .most = 3'650},
    Setting{.key = "events_max",
            .comment = "As many of them are kept, the latest, even if they are younger.",
            .field = &Config::events_max,
            .least = 100,
            .most = 100'000'000},
    Setting{.key = "client_requests_per_s",
            .comment =
                "How many requests a second of one client over the network are served; others\n"
                "wait. 0: no limit.",
            .field = &Config::client_requests_per_s,
            .least = 0,
            .most = 1'000'000},
    Setting{.key = "client_bytes_per_s",
            .comment = "How many bytes a second one client over the network may send and fetch.\n"
                       "0: no limit.",
            .field = &Config::client_bytes_per_s,
            .least = 0,
            .most = 1ULL << 40},
    Setting{.key = "log_level",
            .comment = "trace, debug, info, warn, error or off.",
            .field = &Config::log_level,
            .check = check_log_level},
    Setting{.key = "log_json",
            .comment = "One JSON object a line instead of plain text.",
            .field = &Config::log_json},
};

// ------------------------------------------------------------------------------------- checking

Status check_range(const Setting& setting, std::uint64_t value, bool as_size) {
  if (value >= setting.least && value <= setting.most) return {};
  const auto show = [as_size](std::uint64_t n) {
    return as_size ? size_text(n) : std::to_string(n);
  };
  return fail(Errc::invalid, show(value) + " is out of range: " + show(setting.least) + " to " +
                                 show(setting.most) + " allowed");
}

Status check_setting(const Setting& setting, const Config& config) {
  if (const auto* text = std::get_if<Text>(&setting.field)) return setting.check(config.*(*text));
  if (const auto* number = std::get_if<Number>(&setting.field)) {
    return check_range(setting, config.*(*number), false);
  }
  if (const auto* size = std::get_if<Size>(&setting.field)) {
    return check_range(setting, config.*(*size), true);
  }
  return {};
}

// -------------------------------------------------------------------------------------- reading

Status read_text(const Setting& setting, Text field, const toml::node& node, Config& config) {
  const auto value = node.value_exact<std::string>();
  if (!value) return fail(Errc::invalid, "a text in quotes is expected");
  if (auto checked = setting.check(*value); !checked) return checked;
  config.*field = *value;
  return {};
}

Status read_flag(Flag field, const toml::node& node, Config& config) {
  const auto value = node.value_exact<bool>();
  if (!value) return fail(Errc::invalid, "true or false is expected");
  config.*field = *value;
  return {};
}

Status read_number(const Setting& setting, Number field, const toml::node& node, Config& config) {
  const auto value = node.value_exact<std::int64_t>();
  if (!value || *value < 0) return fail(Errc::invalid, "a whole number is expected");
  const auto number = static_cast<std::uint64_t>(*value);
  if (auto checked = check_range(setting, number, false); !checked) return checked;
  config.*field = static_cast<std::uint32_t>(number);
  return {};
}

Status read_size(const Setting& setting, Size field, const toml::node& node, Config& config) {
  const auto plain = node.value_exact<std::int64_t>();
  const auto text = node.value_exact<std::string>();
  auto bytes = parse_size(text ? *text : plain ? std::to_string(*plain) : std::string());
  if (!bytes) return fail(std::move(bytes.error()));
  if (auto checked = check_range(setting, *bytes, true); !checked) return checked;
  config.*field = *bytes;
  return {};
}

Status read_setting(const Setting& setting, const toml::node& node, Config& config) {
  if (const auto* text = std::get_if<Text>(&setting.field)) {
    return read_text(setting, *text, node, config);
  }
  if (const auto* flag = std::get_if<Flag>(&setting.field)) return read_flag(*flag, node, config);
  if (const auto* number = std::get_if<Number>(&setting.field)) {
    return read_number(setting, *number, node, config);
  }
  return read_size(setting, std::get<Size>(setting.field), node, config);
}

std::string known_keys() {
  std::string keys;
  for (const auto& setting : settings)
    keys += (keys.empty() ? "" : ", ") + std::string(setting.key);
  return keys;
}

Result<Config> read_table(const toml::table& table) {
  Config config;
  for (const auto& [key, node] : table) {
    const auto where =
        "line " + std::to_string(node.source().begin.line) + ": " + printable(key.str());
    const auto* setting = std::ranges::find(settings, key.str(), &Setting::key);
    if (setting == settings.end()) {
      return fail(Errc::invalid, where + ": unknown setting; there are " + known_keys());
    }
    if (auto read = read_setting(*setting, node, config); !read) {
      return fail(where, std::move(read.error()));
    }
  }
  if (auto checked = check_config(config); !checked) return fail(std::move(checked.error()));
  return config;
}

// -------------------------------------------------------------------------------------- writing

std::string value_text(const Setting& setting, const Config& config) {
  if (const auto* text = std::get_if<Text>(&setting.field)) {
    return '"' + config.*(*text) + '"';  // checked texts hold nothing that needs escaping
  }
  if (const auto* flag = std::get_if<Flag>(&setting.field)) {
    return config.*(*flag) ? "true" : "false";
  }
  if (const auto* number = std::get_if<Number>(&setting.field)) {
    return std::to_string(config.*(*number));
  }
  return '"' + size_text(config.*std::get<Size>(setting.field)) + '"';
}

std::string comment_text(const Setting& setting) {
  std::string text = "# ";
  for (const char c : setting.comment)
    text += c == '\n' ? "\n# " : std::string(1, c);
  if (setting.most == 0) return text + "\n";
  const bool as_size = std::holds_alternative<Size>(setting.field);
  const auto show = [as_size](std::uint64_t n) {
    return as_size ? size_text(n) : std::to_string(n);
  };
  return text + " (" + show(setting.least) + " to " + show(setting.most) + ")\n";
}

constexpr std::size_t config_bytes_max = 1 << 20;

constexpr std::array units{std::pair{"TiB"sv, 40U}, std::pair{"GiB"sv, 30U},
                           std::pair{"MiB"sv, 20U}, std::pair{"KiB"sv, 10U}};

/// An address of `key`, which may be empty.
Status check_can_be_dialled(std::string_view key, const std::string& address, std::string_view by,
                            const Config& config) {
  if (address.empty() || !config.advertise.empty() || !parse_host_port(address)->is_wildcard())
    return {};
  return fail(Errc::invalid, std::string(key) + " is " + address + ", which " + std::string(by) +
                                 " cannot dial: set advertise to the host name or address they "
                                 "reach this machine at");
}

}  // namespace

std::string config_text(const Config& config) {
  std::string text =
      "# The settings of this zerodb-node, read when it starts. A line taken out means the "
      "default.\n";
  for (const auto& setting : settings) {
    text += "\n" + comment_text(setting) + std::string(setting.key) + " = " +
            value_text(setting, config) + "\n";
  }
  return text;
}

Result<Config> parse_config(std::string_view text) {
  try {
    return read_table(toml::parse(text));
  } catch (const toml::parse_error& error) {
    return fail(Errc::invalid, "line " + std::to_string(error.source().begin.line) + ": " +
                                   std::string(error.description()));
  }
}

Result<Config> load_config(const std::filesystem::path& path) {
  const auto file = File::open_for_reading(path);
  if (!file) return fail(Errc::io, file.error().what);
  Bytes content(config_bytes_max + 1);
  const auto got = file->read_at(0, content);
  if (!got) return fail(Errc::io, got.error().what);
  if (*got > config_bytes_max) return fail(Errc::invalid, path.string() + " is too long");
  auto config = parse_config(as_text(ByteView(content).first(*got)));
  if (!config) return fail(path.string(), std::move(config.error()));
  return config;
}

Status check_config(const Config& config) {
  for (const auto& setting : settings) {
    if (auto checked = check_setting(setting, config); !checked) {
      return fail(setting.key, std::move(checked.error()));
    }
  }
  if (config.down_after_ms <= config.ping_interval_ms) {
    return fail(Errc::invalid, "down_after_ms must be more than ping_interval_ms");
  }
  if (auto checked = check_can_be_dialled("listen", config.listen, "other nodes", config); !checked)
    return checked;
  if (auto checked =
          check_can_be_dialled("broadcast_listen", config.broadcast_listen, "other nodes", config);
      !checked)
    return checked;
  return check_can_be_dialled("client_listen", config.client_listen, "clients", config);
}

Result<std::uint64_t> parse_size(std::string_view text) {
  auto digits = text;
  unsigned shift = 0;
  for (const auto& [unit, bits] : units) {
    if (!text.ends_with(unit)) continue;
    digits.remove_suffix(unit.size());
    shift = bits;
    break;
  }
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size() ||
      value << shift >> shift != value) {
    return fail(Errc::invalid, "'" + printable(text) + "' is not a size such as \"64MiB\"");
  }
  return value << shift;
}

std::string size_text(std::uint64_t bytes) {
  for (const auto& [unit, bits] : units) {
    const auto whole = bytes >> bits;
    if (whole != 0 && whole << bits == bytes) return std::to_string(whole) + std::string(unit);
  }
  return std::to_string(bytes);
}

}  // namespace zerodb
