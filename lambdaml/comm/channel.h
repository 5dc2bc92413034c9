// What the workers of a job synchronise through, whatever it is: a store, or a parameter server.
// One URL names it; the trigger prepares it and cleans up, each worker makes its communicator and,
// if the job is asynchronous, the shared model.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "lambdaml/base/clock.h"
#include "lambdaml/comm/communicator.h"
#include "lambdaml/comm/make_communicator.h"
#include "lambdaml/net/retry.h"
#include "lambdaml/store/store.h"

namespace lambdaml::comm {

// Threads: one.
class Channel {
 public:
  virtual ~Channel() = default;

  // The URL it was opened with, without secrets, for messages.
  virtual const std::string& url() const = 0;
  // "file", "s3", "ps", …: by which prices and reports know it.
  virtual std::string_view service() const = 0;

  // Before a run, by its trigger: sees that what the URL names is there and can be used by the job,
  // and makes what the URL asks for. Fails here and in seconds, not in all workers at once.
  virtual void Prepare(const std::string& job, const base::Deadline& deadline) = 0;

  // After a run, by who has prepared it: deletes everything the job has written.
  virtual void CleanUp(const std::string& job, const base::Deadline& deadline) = 0;

  // The channel must live as long as what it makes. Errors: kInvalidArgument if the membership
  // makes no sense, or the channel has no shared models.
  virtual std::unique_ptr<Communicator> MakeCommunicator(Pattern pattern,
                                                         const Membership& membership) = 0;
  virtual std::unique_ptr<SharedModel> MakeSharedModel(const Membership& membership,
                                                       size_t length) = 0;

  // What it has asked of its service.
  virtual store::Counters counters() const = 0;
};

// ps:// and pss:// URLs are parameter servers (ps/address.h), all others stores. Asks the service
// for nothing yet. `first_contact_max`: as store::OpenStore, and for stores only; a parameter
// server that is not there fails Prepare at once. Errors: kInvalidArgument for no such URL.
std::unique_ptr<Channel> OpenChannel(const std::string& url,
                                     base::Duration first_contact_max = net::kOutageMax);

}  // namespace lambdaml::comm
