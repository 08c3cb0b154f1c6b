#include "tests/sim/faults/ledger.hpp"

#include <fmt/format.h>

namespace zerodb::sim {

namespace {

constexpr std::size_t number_bytes = 4;

std::string text_of(Version version) {
  return fmt::format("{}.{}", version.ms(), version.value & 0xffff);
}

std::string_view name_of(WriteKind kind) {
  return kind == WriteKind::put ? "put" : "delete";
}

std::string_view name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::running:
      return "under way";
    case Outcome::acknowledged:
      return "acknowledged";
    case Outcome::refused:
      return "refused";
    case Outcome::unknown:
      return "of unknown outcome";
    case Outcome::gone:
      return "gone from every node";
  }
  return "";
}

}  // namespace

WriteNumber Ledger::number_in(ByteView content) {
  WriteNumber number = 0;
  for (std::size_t i = 0; i < number_bytes && i < content.size(); ++i)
    number = number << 8 | content[i];
  return number;
}

Bytes Ledger::content_of(WriteNumber number, std::size_t size) {
  Bytes content(std::max(size, number_bytes));
  auto state = static_cast<std::uint32_t>(number) * 2654435761U + 1;
  for (auto& byte : content) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<std::uint8_t>(state >> 24);
  }
  for (std::size_t i = 0; i < number_bytes; ++i)
    content[i] = static_cast<std::uint8_t>(number >> (8 * (number_bytes - 1 - i)));
  return content;
}

WriteNumber Ledger::begin(std::string key, WriteKind kind, std::size_t size, std::uint64_t now_us,
                          std::optional<Version> expected) {
  const auto number = writes_.size() + 1;
  keys_[key].push_back(number);
  writes_.push_back({.number = number,
                     .key = std::move(key),
                     .kind = kind,
                     .size = size,
                     .begun_us = now_us,
                     .ended_us = 0,
                     .outcome = Outcome::running,
                     .version = {},
                     .expected = expected});
  return number;
}

std::string Ledger::describe(WriteNumber number) const {
  const auto& write = at(number);
  auto text = fmt::format("{} #{} of '{}' ({}", name_of(write.kind), number, write.key,
                          name_of(write.outcome));
  if (write.outcome == Outcome::acknowledged) text += " as version " + text_of(write.version);
  return text + ")";
}

void Ledger::end(WriteNumber number, Outcome outcome, std::uint64_t now_us) {
  auto& write = writes_.at(number - 1);
  write.outcome = outcome;
  write.ended_us = now_us;
}

Complaint Ledger::acknowledge(WriteNumber number, Version version, std::uint64_t now_us) {
  end(number, Outcome::acknowledged, now_us);
  auto& write = writes_.at(number - 1);
  write.version = version;
  ++acknowledged_;
  for (const auto other : keys_.at(write.key)) {
    const auto& before = at(other);
    const bool ended = before.outcome == Outcome::acknowledged && before.ended_us < write.begun_us;
    if (ended && before.version > version) {
      return fmt::format("{} began after {} and is earlier", describe(number), describe(other));
    }
  }
  return check_condition(write);
}

/// Of two acknowledged writes one of which was conditional, none lies between it and what it
/// expected.
Complaint Ledger::check_condition(const Write& write) const {
  const auto is_between = [](const Write& one, const Write& conditional) {
    return conditional.expected && one.number != conditional.number &&
           one.version > *conditional.expected && one.version < conditional.version;
  };
  for (const auto number : keys_.at(write.key)) {
    const auto& other = at(number);
    if (other.outcome != Outcome::acknowledged) continue;
    if (is_between(other, write) || is_between(write, other)) {
      return fmt::format("of {} and {} one expected a version that the other had replaced",
                         describe(write.number), describe(number));
    }
  }
  return {};
}

Floor Ledger::floor(const std::string& key) const {
  Floor floor;
  const auto found = keys_.find(key);
  if (found == keys_.end()) return floor;
  for (const auto number : found->second) {
    const auto& write = at(number);
    if (write.outcome != Outcome::acknowledged || write.version < floor.version) continue;
    floor = {.write = number, .version = write.version};
  }
  return floor;
}

Complaint Ledger::check(const std::string& key, const Floor& floor, const Sighting& sighting,
                        bool fresh) const {
  if (!sighting.version) return check_absent(key, floor, sighting);
  if (sighting.content) {
    if (auto wrong = check_content(key, sighting)) return wrong;
  }
  if (!fresh || *sighting.version >= floor.version) return {};
  return fmt::format("{} sees version {} of '{}', which is older than {}", sighting.by,
                     text_of(*sighting.version), key, describe(floor.write));
}

/// It is not there, so the latest that was acknowledged is a deletion, or some other deletion may
/// have come after it, or be of the same version and have the greater hash.
Complaint Ledger::check_absent(const std::string& key, const Floor& floor,
                               const Sighting& sighting) const {
  if (floor.write == 0 || at(floor.write).kind == WriteKind::remove) return {};
  for (const auto number : keys_.at(key)) {
    const auto& write = at(number);
    if (write.kind != WriteKind::remove) continue;
    if (write.outcome == Outcome::running || write.outcome == Outcome::unknown) return {};
    if (write.outcome == Outcome::acknowledged && write.version >= floor.version) return {};
  }
  return fmt::format("{} says that there is no '{}', but there is {}", sighting.by, key,
                     describe(floor.write));
}

Complaint Ledger::check_content(const std::string& key, const Sighting& sighting) const {
  const auto number = number_in(*sighting.content);
  if (number == 0 || number > writes_.size() || at(number).key != key) {
    return fmt::format("{} reads bytes of '{}' that nobody put there", sighting.by, key);
  }
  const auto& write = at(number);
  if (*sighting.content != content_of(number, write.size)) {
    return fmt::format("{} reads something else than what {} wrote", sighting.by, describe(number));
  }
  if (write.outcome == Outcome::refused || write.outcome == Outcome::gone) {
    return fmt::format("{} reads what {} wrote, which must not appear", sighting.by,
                       describe(number));
  }
  if (write.outcome == Outcome::acknowledged && *sighting.version > write.version) {
    return fmt::format("{} reads what {} wrote under the later version {}", sighting.by,
                       describe(number), text_of(*sighting.version));
  }
  return {};
}

/// A tombstone does not tell who wrote it: it is the deletion acknowledged as that version, or else
/// the last one that may have made it.
WriteNumber Ledger::author_of(const std::string& key, const Standing& standing) const {
  WriteNumber author = standing.write;
  for (const auto number : keys_.at(key)) {
    const auto& write = at(number);
    if (standing.write != 0 || write.kind != WriteKind::remove) continue;
    if (write.outcome == Outcome::acknowledged && write.version == standing.version) return number;
    if (write.outcome == Outcome::unknown) author = number;
  }
  return author;
}

void Ledger::converged(const std::string& key, const std::optional<Standing>& standing) {
  const auto author = standing ? author_of(key, *standing) : 0;
  for (const auto number : keys_.at(key)) {
    auto& write = writes_.at(number - 1);
    if (number == author) {
      write.outcome = Outcome::acknowledged;
      write.version = standing->version;
    } else if (write.outcome != Outcome::refused) {
      write.outcome = Outcome::gone;
    }
  }
}

}  // namespace zerodb::sim
