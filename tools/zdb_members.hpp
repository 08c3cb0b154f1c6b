#pragma once
// The members of a mesh as zdb shows them. Prints to stdout.

#include <nlohmann/json.hpp>

#include "tools/zdb_session.hpp"

namespace zerodb::tools {

using Member = client::Status::Member;

nlohmann::ordered_json members_json(const std::vector<Member>& members);

void print_members(const std::vector<Member>& members);

/// On stderr, where the node that answered is a member no more, or others say so.
void warn_if_removed(Session& session, const client::Status::Reply& status);

}  // namespace zerodb::tools
