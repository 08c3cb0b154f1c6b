#pragma once
// Requests and replies between a client and its node, as plain structs. PROTOCOL.md says what each
// one means. Thread-safe: plain values.

#include <variant>

#include "bus/client_admin_message.hpp"
#include "bus/client_event_message.hpp"
#include "bus/client_object_message.hpp"

namespace zerodb {

/// Of one frame to or from a client.
inline constexpr std::int64_t client_frame_bytes_max = std::int64_t{2} << 20;

namespace client {

using Request =
    std::variant<Put, PutResume, PutData, PutEnd, PutAbort, Get, GetData, GetEnd, Stat, List,
                 Delete, Verify, Status, Scrub, Invite, OwnerShow, OwnerExport, OwnerImport,
                 NodeSet, NodeRemove, MeshExport, MeshImport, Share, GetShared, Events, EventsAck,
                 Followers, FollowerRemove, ClientAdd, ClientList, ClientRevoke>;
using Reply = std::variant<Ok, ObjectInfo, Stored, Upload, GetData::Reply, List::Reply,
                           Verify::Reply, Status::Reply, Scrub::Reply, Text, NodeChanged,
                           Events::Reply, Follower, Followers::Reply, ClientList::Reply>;

}  // namespace client

}  // namespace zerodb
