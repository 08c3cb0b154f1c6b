#include "node/run_node.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>
#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <thread>

#include "node/config.hpp"
#include "node/daemon.hpp"
#include "node/data_folder.hpp"
#include "node/listen_plan.hpp"
#include "node/logging.hpp"
#include "node/notify.hpp"

namespace zerodb {

namespace {

namespace fs = std::filesystem;

/// Calls back, on a thread of its own, at the first SIGINT or SIGTERM.
class SignalWatch {
 public:
  explicit SignalWatch(std::function<void()> told) : signals_(io_, SIGINT, SIGTERM) {
    signals_.async_wait([told = std::move(told)](const asio::error_code& error, int) {
      if (!error) told();
    });
    thread_ = std::thread([this] { io_.run(); });
  }
  ~SignalWatch() {
    io_.stop();
    thread_.join();
  }
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  asio::io_context io_;
  asio::signal_set signals_;
  std::thread thread_;
};

/// Each other member takes a few descriptors, each blob being read another.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

/// What cannot be looked at is there: who reads it then says why not.
bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::symlink_status(path, ignored).type() != fs::file_type::not_found;
}

// ------------------------------------------------------------------------------------------ keys

using SharedPassphrase = std::shared_ptr<const Passphrase>;  // with what saves an imported key

struct Owner {
  std::optional<OwnerKeys> keys;
  SharedPassphrase passphrase;
};

Result<Owner> load_owner(const DataFolder& folder, const RunOptions& options) {
  Owner owner;
  const auto path = folder.owner_key();
  if (!is_there(path)) return owner;
  const auto locked = SeedFile::is_locked(path);
  if (!locked) return fail(locked.error());
  std::optional<std::string_view> words;
  if (*locked) {
    auto passphrase = options.passphrase(path);
    if (!passphrase) return fail(std::move(passphrase.error()));
    owner.passphrase = std::make_shared<const Passphrase>(std::move(*passphrase));
    words = owner.passphrase->view();
  }
  const auto seed = SeedFile::load(path, words);
  if (!seed) return fail(seed.error());
  owner.keys.emplace(*seed);
  return owner;
}

Result<std::optional<SigningKey>> load_mesh_key(const DataFolder& folder) {
  std::optional<SigningKey> key;
  if (!is_there(folder.mesh_key())) return key;
  const auto seed = SeedFile::load(folder.mesh_key(), std::nullopt);
  if (!seed) return fail(seed.error());
  key.emplace(*seed);
  return key;
}

/// An imported owner's key takes the place of the one there may be, which is put aside.
Status replace_owner(const fs::path& path, const Seed& seed, const SharedPassphrase& passphrase) {
  std::optional<std::string_view> words;
  if (passphrase) words = passphrase->view();
  if (is_there(path)) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now).count();
    std::error_code error;
    fs::create_hard_link(path, path.string() + ".until-" + std::to_string(seconds), error);
    if (error) {
      return fail(Errc::io, "cannot put " + path.string() + " aside: " + error.message());
    }
  }
  return SeedFile::save(path, seed, words, {.replace = true});
}

// ---------------------------------------------------------------------------------------- the spec

/// What this node said of itself when it last ran.
std::optional<NodeRecord> last_record(const std::vector<Bytes>& records, const Roster& roster,
                                      const NodeId& self) {
  for (const auto& wire : records) {
    const auto record = SignedRecord::verify(wire, roster);
    if (record && (*record)->node == self) return record->record();
  }
  return std::nullopt;
}

/// Threads beyond what the cores need cost small messages more in wake-ups than they bring.
int io_threads_for(const Config& config) {
  constexpr unsigned cores_per_thread = 4;
  constexpr unsigned most = 8;
  if (config.io_threads != 0) return static_cast<int>(config.io_threads);
  return static_cast<int>(
      std::clamp(std::thread::hardware_concurrency() / cores_per_thread, 1U, most));
}

/// A remote client has fewer requests under way than a local one has on each connection.
constexpr std::size_t remote_requests_max = 128;

void apply_config(const Config& config, DaemonSpec& spec) {
  spec.reserve_bytes = config.reserve_bytes;
  spec.index_cache_bytes = config.index_cache_bytes;
  spec.advertise_host = config.advertise;
  spec.io_threads = io_threads_for(config);
  spec.disk_threads = config.disk_threads;
  spec.links.data_lanes = config.data_lanes;
  spec.links.ping_interval = Milliseconds(config.ping_interval_ms);
  spec.links.down_after = Milliseconds(config.down_after_ms);
  spec.node.replica.transfer_credit_bytes = config.transfer_credit_bytes;
  spec.node.reconcile.interval = std::chrono::seconds(config.reconcile_interval_s);
  spec.node.scrub.period = std::chrono::hours(24) * config.scrub_days;
  spec.node.scrub.bytes_per_s_least = config.scrub_bytes_per_s;
  spec.node.superseded_keep = std::chrono::seconds(config.superseded_keep_s);
  spec.node.reconcile.fetches.bytes_per_s_max = config.move_rate_max;
  spec.node.gateway.events = {.count_max = config.events_max,
                              .keep_ms = std::uint64_t{config.events_keep_days} * 86'400'000};
  spec.remote_clients = {.requests_per_client_max = remote_requests_max,
                         .requests_per_s_max = config.client_requests_per_s,
                         .bytes_per_s_max = config.client_bytes_per_s};
}

/// `folder` outlives the daemon.
void connect_files(const DataFolder& folder, SharedPassphrase passphrase, DaemonSpec& spec) {
  spec.membership_files = {
      .save_roster = [&folder](const SignedRoster& r) { return folder.save_roster(r); },
      .save_older_rosters =
          [&folder](const std::vector<SignedRoster>& r, std::uint64_t over_before) {
            return folder.save_older_rosters(r, over_before);
          },
      .save_records = [&folder](const std::vector<Bytes>& r) { return folder.save_records(r); },
      .save_invites = [&folder](ByteView i) { return folder.save_invites(i); },
      .save_mesh_key =
          [&folder](const Seed& seed) {
            return SeedFile::save(folder.mesh_key(), seed, std::nullopt, {.replace = true});
          }};
  spec.node_files = {.save_settled_roster =
                         [&folder](const SignedRoster& r) { return folder.save_settled_roster(r); },
                     .save_owner =
                         [&folder, passphrase = std::move(passphrase)](const Seed& seed) {
                           return replace_owner(folder.owner_key(), seed, passphrase);
                         },
                     .open_names =
                         [&folder](const OwnerId& owner, const Secret<32>& key) {
                           return open_name_store(folder.catalogue(owner), key);
                         }};
  spec.node_files.followers = [&folder](const OwnerId& owner) {
    return FollowersFile{
        .load = [&folder, owner] { return folder.load_followers(owner); },
        .save = [&folder,
                 owner](ByteView content) { return folder.save_followers(owner, content); }};
  };
  spec.node_files.scrub = {.save = [&folder](const std::string& s) { folder.save_scrub(s); },
                           .saved = folder.load_scrub()};
  spec.client_keys.save = [&folder](ByteView clients) { return folder.save_clients(clients); };
  spec.on_client_endpoint = [&folder](const std::string& endpoint) {
    folder.save_client_endpoint(endpoint);
  };
  spec.forget_settled = [&folder] { return folder.forget_settled_roster(); };
  spec.store_folder = folder.store();
  spec.client_socket = folder.client_socket();
  spec.event_socket = folder.event_socket();
}

/// A node that is alone has nobody to copy the file from, and there is nowhere else to look.
Result<OlderRosters> load_older_rosters(const DataFolder& folder, const Roster& roster) {
  auto older = folder.load_older_rosters(roster.mesh);
  const bool damaged = !older && older.error().code == Errc::corrupt;
  if (!damaged || roster.members.size() > 1) return older;
  spdlog::warn("{}; as this node is alone, it is left out", older.error().what);
  return OlderRosters{};
}

Result<DaemonSpec> make_spec(const DataFolder& folder, const Config& config,
                             const RunOptions& options) {
  auto keys = NodeKeyFile::load(folder.node_key());
  if (!keys) return fail(std::move(keys.error()));
  auto roster = folder.load_roster();
  if (!roster) return fail(std::move(roster.error()));
  auto mesh_key = load_mesh_key(folder);
  if (!mesh_key) return fail(std::move(mesh_key.error()));
  auto owner = load_owner(folder, options);
  if (!owner) return fail(std::move(owner.error()));
  auto clients = folder.load_clients();
  if (!clients) return fail(std::move(clients.error()));
  const auto mesh = (*roster)->mesh;
  auto older = load_older_rosters(folder, roster->roster());
  if (!older) return fail(std::move(older.error()));
  auto records = folder.load_records();
  if (!records) return fail(std::move(records.error()));
  auto invites = folder.load_invites();
  if (!invites) return fail(std::move(invites.error()));

  DaemonSpec spec{.keys = std::move(*keys),
                  .roster = std::move(*roster),
                  .settled_roster = folder.load_settled_roster(mesh),
                  .older_rosters = std::move(older->rosters),
                  .rosters_over_before = older->over_before,
                  .mesh_key = std::move(*mesh_key),
                  .owner = std::move(owner->keys),
                  .membership = {std::move(*records), std::move(*invites)}};
  apply_config(config, spec);
  connect_files(folder, std::move(owner->passphrase), spec);
  spec.client_keys.content = std::move(*clients);
  spec.remote_clients.endpoint =
      choose_client_endpoint(config.client_listen, folder.load_client_endpoint(), is_free_endpoint);
  const auto last =
      last_record(spec.membership.records, spec.roster.roster(), spec.keys.curve.public_key);
  const auto addresses = choose_addresses(listen_plan(config, last), is_free_endpoint);
  spec.links.listen = addresses.listen;
  spec.links.broadcast_listen = addresses.broadcast_listen;
  return spec;
}

std::string own_name(const DaemonSpec& spec) {
  const auto* self = spec.roster->find(spec.keys.curve.public_key);
  return self == nullptr ? spec.keys.curve.public_key.short_hex() : self->name;
}

Status serve(const DataFolder& folder, DaemonSpec spec) {
  const auto name = own_name(spec);
  auto daemon = Daemon::start(std::move(spec));
  if (!daemon) return fail(std::move(daemon.error()));
  const SignalWatch watch([&daemon] {
    notify_service_manager("STOPPING=1");
    (*daemon)->stop();
  });
  const auto remote = (*daemon)->client_endpoint();
  const auto beside = remote.empty() ? std::string() : " " + remote;
  fmt::print("ready {} {} {}{}\n", name, (*daemon)->endpoint(), folder.client_socket().string(),
             beside);
  std::fflush(stdout);
  notify_service_manager("READY=1");
  spdlog::info("{} serves on {} and {}", name, (*daemon)->endpoint(),
               folder.client_socket().string());
  if (!remote.empty()) spdlog::info("{} serves remote clients on {}", name, remote);
  (*daemon)->run();
  spdlog::info("{} stopped", name);
  return {};
}

}  // namespace

Status run_node(const RunOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  const auto folder = DataFolder::open(options.data);
  if (!folder) return fail(folder.error());
  const auto config = load_config(folder->config());
  if (!config) return fail(config.error());
  auto logging = set_up_logging({.level = options.log_level.value_or(config->log_level),
                                 .json = options.log_json || config->log_json});
  if (!logging) return logging;
  auto spec = make_spec(*folder, *config, options);
  if (!spec) return fail(std::move(spec.error()));
  if (options.adjust) options.adjust(*spec);
  return serve(*folder, std::move(*spec));
}

}  // namespace zerodb
