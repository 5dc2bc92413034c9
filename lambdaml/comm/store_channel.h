// A store as a channel.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "lambdaml/comm/channel.h"
#include "lambdaml/store/store.h"

namespace lambdaml::comm {

class StoreChannel final : public Channel {
 public:
  explicit StoreChannel(std::unique_ptr<store::Store> store) : store_(std::move(store)) {}
  // Over a store that is somebody else's, and must live as long.
  explicit StoreChannel(store::Store& store) : store_(std::shared_ptr<void>(), &store) {}

  const std::string& url() const override { return store_->url(); }
  std::string_view service() const override { return store_->capabilities().service; }
  // Puts and deletes a key of the job, once the store itself is prepared.
  void Prepare(const std::string& job, const base::Deadline& deadline) override;
  void CleanUp(const std::string& job, const base::Deadline& deadline) override;
  std::unique_ptr<Communicator> MakeCommunicator(Pattern pattern,
                                                 const Membership& membership) override;
  std::unique_ptr<SharedModel> MakeSharedModel(const Membership& membership,
                                               size_t length) override;
  store::Counters counters() const override { return store_->counters(); }

 private:
  const std::shared_ptr<store::Store> store_;
};

}  // namespace lambdaml::comm
