#pragma once
// What clients wanted, and what they were told came of it. It knows nothing of nodes, so it can say
// of anything that a client or a checker sees whether that may be. One thread.
//
// A write's outcome is one of: acknowledged; refused, which promises that it never appears;
// unknown, which promises nothing, until the checkers have seen the mesh converge: from then on a
// write that no node holds is gone and must never appear.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "store/bytes.hpp"
#include "store/clock.hpp"

namespace zerodb::sim {

enum class WriteKind : std::uint8_t { put, remove };
enum class Outcome : std::uint8_t { running, acknowledged, refused, unknown, gone };

using WriteNumber = std::size_t;  ///< from 1

struct Write {
  WriteNumber number = 0;
  std::string key;
  WriteKind kind = WriteKind::put;
  std::size_t size = 0;
  std::uint64_t begun_us = 0;
  std::uint64_t ended_us = 0;
  Outcome outcome = Outcome::running;
  Version version;                  ///< if acknowledged
  std::optional<Version> expected;  ///< it was conditional on this version
};

/// The latest that was acknowledged of a key.
struct Floor {
  WriteNumber write = 0;  ///< 0: nothing was
  Version version;
};

/// What a read, a listing or a store shows of a key.
struct Sighting {
  std::string by;                  ///< "a get at node2", for messages
  std::optional<Version> version;  ///< nothing: there is no such object
  std::optional<Bytes> content;    ///< if it was read
};

/// What all nodes hold of a key once they have converged.
struct Standing {
  Version version;
  WriteNumber write = 0;  ///< as its content says; 0: it is a tombstone
};

/// A sentence that says what is wrong; nothing: all is well.
using Complaint = std::optional<std::string>;

class Ledger {
 public:
  WriteNumber begin(std::string key, WriteKind kind, std::size_t size, std::uint64_t now_us,
                    std::optional<Version> expected);
  /// Complains if the version is earlier than one that was acknowledged before it began. Of equal
  /// ones the greater hash stands, which the replicas see to.
  Complaint acknowledge(WriteNumber number, Version version, std::uint64_t now_us);
  void end(WriteNumber number, Outcome outcome, std::uint64_t now_us);

  Floor floor(const std::string& key) const;
  /// Whether `sighting`, by something that began when `floor` was the floor, may be. `fresh`: it
  /// promises to see all that was acknowledged before it began. That there is nothing is always
  /// said for certain.
  Complaint check(const std::string& key, const Floor& floor, const Sighting& sighting,
                  bool fresh) const;
  /// The mesh has converged, and no write is under way: this is what all nodes hold of the key, and
  /// nothing else. What stands counts as acknowledged from now on, all else as gone.
  void converged(const std::string& key, const std::optional<Standing>& standing);
  static WriteNumber number_in(ByteView content);

  const std::map<std::string, std::vector<WriteNumber>>& keys() const { return keys_; }
  std::size_t acknowledged() const { return acknowledged_; }
  std::string describe(WriteNumber number) const;

  /// What write `number` puts: its own number first, so that it can be told from any other.
  static Bytes content_of(WriteNumber number, std::size_t size);

 private:
  Complaint check_absent(const std::string& key, const Floor& floor,
                         const Sighting& sighting) const;
  Complaint check_content(const std::string& key, const Sighting& sighting) const;
  Complaint check_condition(const Write& write) const;
  WriteNumber author_of(const std::string& key, const Standing& standing) const;
  const Write& at(WriteNumber number) const { return writes_.at(number - 1); }

  std::vector<Write> writes_;
  std::map<std::string, std::vector<WriteNumber>> keys_;
  std::size_t acknowledged_ = 0;
};

}  // namespace zerodb::sim
