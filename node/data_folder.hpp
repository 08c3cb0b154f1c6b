#pragma once
// The folder that is a node: its keys, settings, rosters and store.
//
//   format           "zerodb 1"; written last when the folder is made
//   config.toml      settings, for people
//   node.key         this node's identity
//   mesh.key         where the mesh was founded or its key imported: who may belong to it
//   owner.key        on a gateway: whose objects it seals and opens
//   roster           the signed roster that stands
//   older.rosters    those in force beside it, and before which version all are over
//   records, invites what membership keeps
//   clients          who may speak to this node over the network
//   client.endpoint  where it served them last
//   store/           sealed data
//     settled.roster the roster under which the node last held all that is placed on it: in the
//                    store, so that it is lost with it
//   catalogue/       on a gateway: a folder for each owner, the names of its objects, encrypted
//   followers.OWNER  on a gateway: how far the durable followers of an owner's events are, sealed
//   client.sock, events.sock   while it runs
//   LOCK             held by the process that has the folder open
//
// Nobody but the folder's user may enter it. Blocking; one thread.

#include <filesystem>
#include <memory>
#include <vector>

#include "node/roster.hpp"
#include "store/file.hpp"
#include "store/keyfile.hpp"

namespace zerodb {

/// Rosters in force beside the one that stands, oldest first.
struct OlderRosters {
  std::vector<SignedRoster> rosters;
  std::uint64_t over_before = 0;  ///< versions before this are over for good
};

class DataFolder {
 public:
  /// Opens and locks a folder that init or join made. `invalid` when it is not one, is of a newer
  /// format, or its path is too long; `busy` when it is in use; `denied` when others may enter it.
  static Result<DataFolder> open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path config() const { return path_ / "config.toml"; }
  std::filesystem::path node_key() const { return path_ / "node.key"; }
  std::filesystem::path mesh_key() const { return path_ / "mesh.key"; }
  std::filesystem::path owner_key() const { return path_ / "owner.key"; }
  std::filesystem::path store() const { return path_ / "store"; }
  std::filesystem::path settled_roster() const { return store() / "settled.roster"; }
  std::filesystem::path catalogue(const OwnerId& owner) const {
    return path_ / "catalogue" / owner.hex();
  }
  std::filesystem::path older_rosters() const { return path_ / "older.rosters"; }
  std::filesystem::path client_socket() const { return path_ / "client.sock"; }
  std::filesystem::path event_socket() const { return path_ / "events.sock"; }

  Status save_roster(const SignedRoster& roster) const;
  Result<SignedRoster> load_roster() const;

  /// Rosters of versions before `over_before` are over for good; 0: none is known to be.
  Status save_older_rosters(const std::vector<SignedRoster>& rosters,
                            std::uint64_t over_before) const;
  /// None when there is no such file. `corrupt` if one of them cannot be believed: without it this
  /// node would say that there are no objects where it does not look.
  Result<OlderRosters> load_older_rosters(const MeshId& mesh) const;

  Status save_settled_roster(const SignedRoster& roster) const;
  /// Nothing when there is none, or none that can be read and believed: then the store fills up
  /// again, and that it has nothing of an object means nothing until it has.
  std::optional<SignedRoster> load_settled_roster(const MeshId& mesh) const;

  /// Durably: this node does not hold any more what it held.
  Status forget_settled_roster() const;

  /// Where the scrub stands. Best effort: what is lost is only walked over again.
  void save_scrub(const std::string& state) const;
  std::string load_scrub() const;

  Status save_records(const std::vector<Bytes>& records) const;
  /// Empty when they are missing or damaged: the other nodes know them, too. An error if they
  /// cannot be read for now: the next that are saved would replace them.
  Result<std::vector<Bytes>> load_records() const;

  /// May be called from any thread, one at a time for an owner.
  Status save_followers(const OwnerId& owner, ByteView sealed) const;
  /// `not_found` if there never were any.
  Result<Bytes> load_followers(const OwnerId& owner) const;
  Status save_clients(ByteView clients) const;
  /// Empty when there are none.
  Result<Bytes> load_clients() const;
  /// Best effort: a port that is forgotten is chosen anew.
  void save_client_endpoint(const std::string& endpoint) const;
  std::string load_client_endpoint() const;

  Status save_invites(ByteView invites) const;
  /// Empty when there are none.
  Result<Bytes> load_invites() const;

 private:
  friend class NewDataFolder;
  DataFolder(std::filesystem::path path, FolderLock lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}

  std::filesystem::path path_;
  FolderLock lock_;
};

/// A data folder in the making. Dropped unfinished, it leaves nothing behind.
class NewDataFolder {
 public:
  /// Whether `path` can become one: it does not exist, or is an empty folder.
  static Status check(const std::filesystem::path& path);
  static Result<NewDataFolder> begin(const std::filesystem::path& path);
  NewDataFolder(NewDataFolder&& other) noexcept = default;
  NewDataFolder& operator=(NewDataFolder&&) = delete;
  ~NewDataFolder();

  const DataFolder& folder() const { return *folder_; }

  /// From here on it is a data folder, and stays.
  Status finish();

 private:
  NewDataFolder() = default;
  std::vector<std::filesystem::path> made_;  ///< folders that did not exist before, innermost last
  std::unique_ptr<DataFolder> folder_;       ///< none once finished, or once moved from
};

}  // namespace zerodb
