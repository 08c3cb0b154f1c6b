#pragma once
// The verbs of zdb, a file each. What goes wrong is reported to the session, which keeps the exit
// code.

#include "tools/zdb_session.hpp"

namespace zerodb::tools {

void run_put(Session& session);
void run_get(Session& session);
void run_ls(Session& session);
void run_stat(Session& session);
void run_rm(Session& session);
void run_share(Session& session);
void run_watch(Session& session);
void run_status(Session& session);
void run_scrub(Session& session);
void run_verify(Session& session);
void run_invite(Session& session);
void run_owner_id(Session& session);
void run_owner_export(Session& session);
void run_owner_import(Session& session);
void run_node_list(Session& session);
void run_node_drain(Session& session);
void run_node_undrain(Session& session);
void run_node_remove(Session& session);
void run_node_set(Session& session);
void run_mesh_export(Session& session);
void run_mesh_import(Session& session);
void run_client_add(Session& session);
void run_client_list(Session& session);
void run_client_revoke(Session& session);

}  // namespace zerodb::tools
