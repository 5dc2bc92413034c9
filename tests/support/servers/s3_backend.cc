#include "support/servers/s3_backend.h"

#include <fmt/format.h>

#include "lambdaml/net/credentials.h"
#include "lambdaml/store/s3_location.h"
#include "lambdaml/store/store_url.h"

namespace lambdaml::test {
namespace {

constexpr base::Duration kEmptyingTimeMax = std::chrono::minutes(1);

class S3Place final : public StorePlace {
 public:
  S3Place() {
    static const std::string bucket = RgwServer::Shared().MakeBucket();
    static int count = 0;
    path_ = fmt::format("{}/place{}", bucket, ++count);
  }
  S3Place(const S3Place&) = delete;
  S3Place& operator=(const S3Place&) = delete;
  ~S3Place() override {
    OpenS3(RgwServer::Shared(), path_)->DeletePrefix("", base::Deadline::After(kEmptyingTimeMax));
  }

  std::unique_ptr<store::Store> Open() override { return OpenS3(RgwServer::Shared(), path_); }

 private:
  std::string path_;
};

}  // namespace

std::unique_ptr<store::S3Store> OpenS3(const RgwServer& server, const std::string& path,
                                       const store::S3Sizes& sizes,
                                       const net::Credentials& credentials) {
  const auto nothing_set = [](const std::string&) { return std::nullopt; };
  return std::make_unique<store::S3Store>(
      store::LocateS3(store::StoreUrl::Parse(server.Url(path)), nothing_set),
      net::FixedCredentials(credentials), sizes);
}

StoreBackend S3Backend() {
  StoreBackend backend = {"S3", true, [] { return std::make_unique<S3Place>(); }};
  if (!RgwServer::IsInstalled()) backend.skip_reason = RgwServer::kMissing;
  backend.race_rounds = 25;
  return backend;
}

}  // namespace lambdaml::test
