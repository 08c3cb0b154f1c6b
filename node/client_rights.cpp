#include "node/client_rights.hpp"

#include <algorithm>

#include "store/keys.hpp"

namespace zerodb {

namespace {

using Prefixes = std::vector<std::string>;

/// True if everything that begins with `text` is covered.
bool covers(const Prefixes& prefixes, std::string_view text) {
  return std::ranges::any_of(prefixes,
                             [text](const auto& prefix) { return text.starts_with(prefix); });
}

Status need(const Prefixes& prefixes, std::string_view right, const std::string& key) {
  if (covers(prefixes, key)) return {};
  return fail(Errc::denied,
              "'" + printable(key) + "': this credential may not " + std::string(right) + " that");
}

/// One overload for each command that a remote client may give. A new command is denied until it
/// has one.
struct Judge {
  const ClientRights& rights;

  Status operator()(const client::Put& put) const { return need(rights.write, "write", put.key); }
  Status operator()(const client::PutResume&) const { return {}; }
  Status operator()(const client::PutData&) const { return {}; }
  Status operator()(const client::PutEnd&) const { return {}; }
  Status operator()(const client::PutAbort&) const { return {}; }

  Status operator()(const client::Get& get) const { return need(rights.read, "read", get.key); }
  Status operator()(const client::GetData&) const { return {}; }
  Status operator()(const client::GetEnd&) const { return {}; }
  Status operator()(const client::Stat& stat) const { return need(rights.read, "read", stat.key); }
  Status operator()(const client::List& list) const { return below("list", list.prefix); }
  /// Places for durable followers are few, and their names everybody's.
  Status operator()(const client::Events& events) const {
    if (!events.durable) return below("follow", events.prefix.value_or(""));
    return fail(Errc::denied, "a client over the network keeps its place among the events itself");
  }

  Status operator()(const client::Delete& gone) const {
    return need(rights.remove, "delete", gone.key);
  }

  Status below(std::string_view verb, const std::string& prefix) const {
    if (covers(rights.read, prefix)) return {};
    return fail(Errc::denied, "'" + printable(prefix) + "': this credential may not " +
                                  std::string(verb) +
                                  " that, only what is below a prefix it may read");
  }

  template <class AnyOther>
  Status operator()(const AnyOther&) const {
    return fail(Errc::denied, "'" + std::string(AnyOther::name) +
                                  "' is not for clients over the network: do it on the node's "
                                  "machine");
  }
};

}  // namespace

Status check_rights(const ClientRights& rights) {
  std::size_t count = 0;
  std::size_t bytes = 0;
  for (const auto* prefixes : {&rights.read, &rights.write, &rights.remove}) {
    for (const auto& prefix : *prefixes) {
      // A prefix may be empty, or end anywhere; otherwise it is as a key.
      if (prefix.size() > name_bytes_max || !is_utf8(prefix)) {
        return fail(Errc::invalid, "'" + printable(prefix.substr(0, 80)) +
                                       "' is no beginning of a key: at most " +
                                       std::to_string(name_bytes_max) + " bytes of UTF-8");
      }
      ++count;
      bytes += prefix.size();
    }
  }
  if (count == 0) {
    return fail(Errc::invalid,
                "a client needs a right: give --read, --write or --delete with the beginning of "
                "keys, '' for all");
  }
  if (count <= client_prefixes_max && bytes <= client_rights_bytes_max) return {};
  return fail(Errc::invalid, "too many rights: at most " + std::to_string(client_prefixes_max) +
                                 " prefixes of " + std::to_string(client_rights_bytes_max) +
                                 " bytes in all");
}

Status check_allowed(const ClientRights& rights, const client::Request& request) {
  return std::visit(Judge{rights}, request);
}

}  // namespace zerodb
