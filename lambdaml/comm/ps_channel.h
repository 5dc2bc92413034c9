// A parameter server as a channel.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/comm/channel.h"
#include "lambdaml/ps/client.h"

namespace lambdaml::comm {

class PsChannel final : public Channel {
 public:
  // Errors: kInvalidArgument.
  explicit PsChannel(std::string url);

  const std::string& url() const override { return url_; }
  std::string_view service() const override { return "ps"; }
  // Asks the server how it is.
  void Prepare(const std::string& job, const base::Deadline& deadline) override;
  void CleanUp(const std::string& job, const base::Deadline& deadline) override;
  // The server merges, so the patterns are one and the same.
  std::unique_ptr<Communicator> MakeCommunicator(Pattern pattern,
                                                 const Membership& membership) override;
  std::unique_ptr<SharedModel> MakeSharedModel(const Membership& membership,
                                               size_t length) override;
  store::Counters counters() const override;

 private:
  ps::Client& MakeClient(const Membership& membership);

  const std::string url_;
  const ps::ServerAddress address_;
  std::vector<std::unique_ptr<ps::Client>> clients_;
};

}  // namespace lambdaml::comm
