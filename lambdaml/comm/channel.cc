#include "lambdaml/comm/channel.h"

#include "lambdaml/comm/ps_channel.h"
#include "lambdaml/comm/store_channel.h"
#include "lambdaml/ps/address.h"
#include "lambdaml/store/open_store.h"

namespace lambdaml::comm {

std::unique_ptr<Channel> OpenChannel(const std::string& url, base::Duration first_contact_max) {
  if (ps::IsPsUrl(url)) return std::make_unique<PsChannel>(url);
  return std::make_unique<StoreChannel>(store::OpenStore(url, first_contact_max));
}

}  // namespace lambdaml::comm
