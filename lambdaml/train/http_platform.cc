#include "lambdaml/train/http_platform.h"

#include <algorithm>
#include <atomic>
#include <sstream>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/faas/url_invoker.h"
#include "lambdaml/net/credentials.h"
#include "lambdaml/net/url.h"

namespace lambdaml::train {
namespace {

class HttpPlatform final : public Platform {
 public:
  HttpPlatform(std::vector<std::string> urls, std::string shared_folder)
      : shared_folder_(std::move(shared_folder)),
        invoker_(faas::MakeUrlInvoker({.urls = std::move(urls),
                                       .credentials = net::CredentialsChain(),
                                       .signing_region = {},
                                       .cancelled = &cancelled_})) {}

  std::string shared_folder() const override { return shared_folder_; }
  void Start(const wire::Job&, const RunDirectory&) override {}
  faas::Invoker& invoker() override { return *invoker_; }
  void Shutdown() override { cancelled_ = true; }
  std::vector<report::Invocation> TakeInvocations() override { return {}; }

 private:
  const std::string shared_folder_;
  std::atomic<bool> cancelled_{false};
  const std::unique_ptr<faas::Invoker> invoker_;
};

}  // namespace

std::unique_ptr<Platform> MakeHttpPlatform(const wire::Job& job) {
  std::vector<std::string> urls;
  std::istringstream text(job.function_url);
  for (std::string url; std::getline(text, url, ',');) urls.push_back(url);
  const bool is_this_machine = std::ranges::all_of(
      urls, [](const std::string& url) { return net::IsLocalHost(net::ParseHttpUrl(url)); });
  if (job.run_folder.empty() && !is_this_machine) {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      "--platform http: the functions run on other machines: give --run_folder, "
                      "such as s3://bucket/jobs, for what they share with this one");
  }
  return std::make_unique<HttpPlatform>(std::move(urls), job.run_folder);
}

}  // namespace lambdaml::train
