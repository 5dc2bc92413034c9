// S3 for the suites that run over stores: Ceph's gateway of this process, a fresh prefix each time.
#pragma once

#include <memory>
#include <string>

#include "lambdaml/net/credentials.h"
#include "lambdaml/store/s3_store.h"

#include "support/servers/rgw_server.h"
#include "support/store_backend.h"

namespace lambdaml::test {

// A store at `path` ("bucket/prefix") of the server.
std::unique_ptr<store::S3Store> OpenS3(
    const RgwServer& server, const std::string& path, const store::S3Sizes& sizes = {},
    const net::Credentials& credentials = RgwServer::credentials());

StoreBackend S3Backend();

}  // namespace lambdaml::test
