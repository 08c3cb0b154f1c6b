// make_seeds VECTORS FOLDER: where fuzzing starts. Writes for each target a folder of inputs that
// it accepts: the golden bytes of tests/vectors, and what zerodb itself writes.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "bus/client_credential.hpp"
#include "node/client_keys.hpp"
#include "node/config.hpp"
#include "node/entry_codec.hpp"
#include "node/invites.hpp"
#include "node/roster.hpp"
#include "node/share_link.hpp"
#include "node/ticket.hpp"
#include "store/blob_format.hpp"
#include "store/event_log.hpp"
#include "store/index_key.hpp"
#include "store/recovery.hpp"
#include "tests/fuzz/target.hpp"
#include "tests/sim/sealed_object.hpp"

using namespace zerodb;
namespace fs = std::filesystem;

namespace {

constexpr char no_choice = -1;

/// Writes the inputs of all targets.
class Seeds {
 public:
  explicit Seeds(fs::path folder) : folder_(std::move(folder)) {}

  /// With the byte in front by which the target chooses what to try.
  void add(const std::string& target, char choice, ByteView bytes) {
    const auto folder = folder_ / target;
    fs::create_directories(folder);
    std::ofstream file(folder / ("seed" + std::to_string(number_++)), std::ios::binary);
    if (choice != no_choice) file.put(choice);
    file << as_text(bytes);
    fuzz::require(file.good(), "a seed is written");
  }
  void add(const std::string& target, char choice, std::string_view text) {
    add(target, choice, as_bytes(text));
  }

 private:
  fs::path folder_;
  std::size_t number_ = 0;
};

Bytes from_hex(const std::string& hex) {
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<std::uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

ByteView body_of(const Bytes& wire) {
  return ByteView(wire).first(wire.size() - Signature::size);
}

void add_golden_headers(Seeds& seeds, const fs::path& vectors) {
  std::ifstream file(vectors / "headers.txt");
  fuzz::require(file.good(), "headers.txt is there");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string kind;
    std::string name;
    std::string hex;
    words >> kind >> name >> hex;
    const auto bytes = from_hex(hex);
    if (kind == "peer_request") seeds.add("peer_message", 0, bytes);
    if (kind == "peer_reply") seeds.add("peer_message", 1, bytes);
    if (kind == "client_request") seeds.add("client_message", 0, bytes);
    if (kind == "client_reply" || kind == "client_error") seeds.add("client_message", 1, bytes);
    if (kind == "client_event") seeds.add("client_message", 2, bytes);
    if (kind == "broadcast") seeds.add("broadcast", no_choice, bytes);
  }
}

void add_objects(Seeds& seeds) {
  const OwnerKeys keys(Seed{});
  for (const std::uint64_t size : {0ULL, 100ULL, 70'000ULL}) {
    const auto object = sim::seal_object(keys, {.name = "a name", .size = size});
    seeds.add("manifest", no_choice, object.manifest.wire());
    seeds.add("node_files", 5, index_key::encode_value(object.manifest));
    const Entry entry{
        .object = object.id(), .version = object.manifest->version, .hash = object.manifest.hash()};
    Bytes entries;
    append_entry(entries, entry);
    seeds.add("node_files", 4, entries);
    seeds.add("node_files", 5, index_key::of_entry(entry));
    if (object.manifest->is_inline()) continue;
    auto file = blob_format::encode_header({.binding = object.manifest->binding()});
    std::vector<Leaf> leaves;
    for (const auto& chunk : object.chunks) {
      file.insert(file.end(), chunk.begin(), chunk.end());
      leaves.push_back(leaf_of(chunk));
    }
    const auto trailer = blob_format::encode_trailer(object.manifest, leaves);
    file.insert(file.end(), trailer.begin(), trailer.end());
    seeds.add("blob_file", no_choice, file);
  }
  const auto tombstone = sim::sign_tombstone(keys, "a name", Version::at(2'000));
  seeds.add("manifest", no_choice, tombstone.wire());
}

void add_roster(Seeds& seeds) {
  const auto key = fuzz::known_key();
  const auto node = *NodeId::from(key.public_key().view());
  Roster roster;
  roster.mesh = *MeshId::from(key.public_key().view());
  roster.version = 3;
  roster.members.push_back(
      {.node = node, .sign_key = key.public_key(), .name = "one", .zone = "z"});
  roster.changes.push_back({.node = node, .draining = true, .zone = "z", .weight = 50});
  const auto wire = SignedRoster::sign(roster, key).wire();
  seeds.add("roster", 0, body_of(wire));
  seeds.add("roster", 2, wire);
  const NodeRecord record{.node = node,
                          .sequence = 1,
                          .endpoint = "tcp://127.0.0.1:7710",
                          .broadcast_endpoint = "tcp://127.0.0.1:7711"};
  seeds.add("roster", 1, body_of(SignedRecord::sign(record, key).wire()));
}

void add_texts(Seeds& seeds) {
  Ticket ticket{.mesh = {}, .endpoint = "tcp://127.0.0.1:7710", .server = {}, .invite = {}};
  const auto text = ticket_text(ticket);
  const auto inside = *from_base64url(std::string_view(text).substr(4));
  seeds.add("text_lines", 0, text);
  seeds.add("text_lines", 1, ByteView(inside).first(inside.size() - 4));
  const auto credential = credential_text({.name = "camera",
                                           .endpoint = "tcp://127.0.0.1:7720",
                                           .server = {},
                                           .keys = CurvePair::from_secret(CurveSecret{})});
  const auto body = credential.substr(credential_prefix.size());
  seeds.add("text_lines", 2, credential);
  seeds.add("text_lines", 3, *from_base64url(body.substr(0, body.find('.'))));
  const OwnerKeys keys(Seed{});
  const ShareLink link{.object = {.owner = keys.id(), .hashed_key = keys.hash_name("a name")},
                       .version = {},
                       .expires_ms = 1,
                       .part = {.name = "a name"}};
  const auto line = share_link_text(link, keys);
  seeds.add("text_lines", 4, line);
  seeds.add("text_lines", 5, body_of(*from_base64url(line.substr(line.find('-') + 1))));
  seeds.add("text_lines", 6, recovery_text(Seed{}, RecoveryKind::owner));
  seeds.add("text_lines", 7, recovery_text(Seed{}, RecoveryKind::mesh));
}

void add_files(Seeds& seeds) {
  seeds.add("config", no_choice, config_text({}));
  ClientKeys clients;
  fuzz::require(clients
                    .add({.name = "camera",
                          .key = *NodeId::from(fuzz::known_key().public_key().view()),
                          .rights = {.read = {"a/"}, .write = {"b/"}, .remove = {}},
                          .created_ms = 1,
                          .expires_ms = 2},
                         0)
                    .has_value(),
                "a client is added");
  const auto file = clients.encode();
  seeds.add("node_files", 0, file);
  seeds.add("node_files", 1, ByteView(file).subspan(9, file.size() - 9 - 32));
  Invites invites;
  fuzz::require(invites.add(*NodeId::from(fuzz::known_key().public_key().view()), 9).has_value(),
                "an invite is added");
  seeds.add("node_files", 2, invites.encode());
  const LoggedEvent event{.sequence = 1, .time_ms = 5, .entry = {.name = "a name", .size = 3}};
  seeds.add("node_files", 3, encode_event(event));
}

}  // namespace

int main(int count, char** words) {
  if (count != 3) return std::cerr << "usage: make_seeds VECTORS FOLDER\n", 2;
  Seeds seeds(words[2]);
  add_golden_headers(seeds, words[1]);
  add_objects(seeds);
  add_roster(seeds);
  add_texts(seeds);
  add_files(seeds);
}
