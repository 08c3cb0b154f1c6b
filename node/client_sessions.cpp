#include "node/client_sessions.hpp"

#include <algorithm>

#include "store/keys.hpp"

namespace zerodb {

namespace {

template <class Sessions>
std::size_t count_of(const ClientIdentity& identity, const Sessions& sessions) {
  return static_cast<std::size_t>(std::ranges::count_if(
      sessions, [&](const auto& entry) { return entry.second->client == identity; }));
}

}  // namespace

ClientSessions::ClientSessions(Runtime& runtime, SessionLimits limits)
    : runtime_(runtime), limits_(limits) {}

// ------------------------------------------------------------------------------------- opening

Status ClientSessions::check_room(ClientId client) {
  if (clients_[client].uploads.size() < limits_.uploads_per_client_max) return {};
  return fail(Errc::busy, "too many uploads are open; end one, then try again");
}

Result<std::uint64_t> ClientSessions::add(ClientId client, UploadPtr upload) {
  if (auto room = check_room(client); !room) return fail(std::move(room.error()));
  if (uploads_ >= limits_.uploads_max) {
    return fail(Errc::busy, "all clients together have too many uploads open; try again later");
  }
  // Uploads take room on the node that all clients share: one may not have it all.
  if (upload->client.credential &&
      uploads_of(upload->client) >= limits_.uploads_per_credential_max) {
    return fail(Errc::busy, "too many uploads with this credential are open; end one first");
  }
  ++uploads_;
  upload->last_used_ms = runtime_.steady_ms();
  upload->last_bytes_ms = upload->last_used_ms;
  clients_[client].uploads[++last_id_] = std::move(upload);
  return last_id_;
}

Result<std::uint64_t> ClientSessions::add(ClientId client, DownloadPtr download) {
  auto& downloads = clients_[client].downloads;
  if (downloads.size() >= limits_.downloads_per_client_max || downloads_ >= limits_.downloads_max) {
    return fail(Errc::busy, "too many downloads are open; end one, then try again");
  }
  if (download->client.credential &&
      downloads_of(download->client) >= limits_.downloads_per_credential_max) {
    return fail(Errc::busy, "too many downloads with this credential are open; end one first");
  }
  ++downloads_;
  download->last_used_ms = runtime_.steady_ms();
  downloads[++last_id_] = std::move(download);
  return last_id_;
}

std::size_t ClientSessions::uploads_of(const ClientIdentity& identity) const {
  std::size_t count = 0;
  for (const auto& [client, sessions] : clients_)
    count += count_of(identity, sessions.uploads);
  return count;
}

std::size_t ClientSessions::downloads_of(const ClientIdentity& identity) const {
  std::size_t count = 0;
  for (const auto& [client, sessions] : clients_)
    count += count_of(identity, sessions.downloads);
  return count;
}

Result<std::uint64_t> ClientSessions::take_over(ClientId client, const ClientIdentity& identity,
                                                ByteView resume) {
  if (auto room = check_room(client); !room) return fail(std::move(room.error()));
  const auto is_it = [&](const auto& entry) {
    return !entry.second->resume.empty() && entry.second->client == identity &&
           is_same_secret(entry.second->resume, resume);
  };
  for (auto& [holder, sessions] : clients_) {
    const auto found = std::ranges::find_if(sessions.uploads, is_it);
    if (found == sessions.uploads.end()) continue;
    auto session = std::move(found->second);
    sessions.uploads.erase(found);
    clients_[client].uploads[++last_id_] = std::move(session);
    return last_id_;
  }
  return fail(Errc::not_found,
              "there is no such upload to go on with; it ended, failed, or waited for too long");
}

// --------------------------------------------------------------------------------------- using

Result<ClientSessions::UploadPtr> ClientSessions::upload(ClientId client, std::uint64_t id) const {
  const auto known = clients_.find(client);
  if (known != clients_.end()) {
    const auto found = known->second.uploads.find(id);
    if (found != known->second.uploads.end() && found->second->stream) return found->second;
  }
  return fail(Errc::not_found, "there is no upload " + std::to_string(id) +
                                   "; it ended, failed, or was silent for too long");
}

Result<ClientSessions::DownloadPtr> ClientSessions::download(ClientId client,
                                                             std::uint64_t id) const {
  const auto known = clients_.find(client);
  if (known != clients_.end()) {
    const auto found = known->second.downloads.find(id);
    if (found != known->second.downloads.end()) return found->second;
  }
  return fail(Errc::not_found, "there is no download " + std::to_string(id) +
                                   "; it ended, or was silent for too long");
}

// -------------------------------------------------------------------------------------- ending

bool ClientSessions::end_upload(ClientId client, std::uint64_t id) {
  const auto known = clients_.find(client);
  const bool was_open = known != clients_.end() && known->second.uploads.erase(id) != 0;
  if (was_open) --uploads_;
  return was_open;
}

bool ClientSessions::end_download(ClientId client, std::uint64_t id) {
  const auto known = clients_.find(client);
  const bool was_open = known != clients_.end() && known->second.downloads.erase(id) != 0;
  if (was_open) --downloads_;
  return was_open;
}

void ClientSessions::gone(ClientId client) {
  const auto found = clients_.find(client);
  if (found == clients_.end() || client == nobody) return;
  auto sessions = std::move(found->second);
  clients_.erase(found);
  for (auto& [id, session] : sessions.uploads) {
    if (!session->resume.empty() && session->stream) {
      clients_[nobody].uploads[id] = std::move(session);
    } else {
      drop(*session);
    }
  }
  downloads_ -= sessions.downloads.size();
}

/// Requests still waiting in an upload hold its session, and end when the stream does.
void ClientSessions::drop(UploadSession& session) {
  session.stream.reset();
  --uploads_;
}

void ClientSessions::drop_all() {
  for (auto& [client, sessions] : clients_) {
    for (auto& [id, session] : sessions.uploads)
      drop(*session);
    downloads_ -= sessions.downloads.size();
  }
  clients_.clear();
}

void ClientSessions::drop_idle() {
  const auto now_ms = runtime_.steady_ms();
  const auto is_idle = [&](const auto& entry) {
    const auto idle_ms = now_ms - entry.second->last_used_ms;
    return entry.second->busy == 0 &&
           idle_ms > static_cast<std::uint64_t>(limits_.idle_max.count());
  };
  const auto holds_up = [&](const auto& entry) {
    const auto& session = *entry.second;
    const auto pause_ms = now_ms - session.last_bytes_ms;
    return session.client.credential && session.unanswered == 0 &&
           pause_ms > static_cast<std::uint64_t>(limits_.remote_pause_max.count());
  };
  for (auto& [client, sessions] : clients_) {
    uploads_ -= std::erase_if(sessions.uploads, is_idle);
    uploads_ -= std::erase_if(sessions.uploads, holds_up);
    downloads_ -= std::erase_if(sessions.downloads, is_idle);
  }
  std::erase_if(clients_, [](const auto& entry) {
    return entry.second.uploads.empty() && entry.second.downloads.empty();
  });
}

}  // namespace zerodb
