#include "lambdaml/store/s3_xml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "lambdaml/base/error.h"

namespace lambdaml::store {
namespace {

using Keys = std::vector<std::string>;

// Answers as Amazon's documentation shows them.
constexpr const char* kList = R"(<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Name>bucket</Name><Prefix>jobs/</Prefix><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys>
  <EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
  <NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=</NextContinuationToken>
  <Contents><Key>jobs/a%2Bb+c%26%01%C3%A9</Key><ETag>&quot;70ee&quot;</ETag></Contents>
  <Contents><Key>jobs/2</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified></Contents>
</ListBucketResult>)";

template <typename Call>
std::string FailureOf(Call call) {
  try {
    call();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kUnavailable);
    return error.message();
  }
  return "no error";
}

TEST(S3Xml, AListPageHasItsKeysDecodedAndItsToken) {
  const S3ListPage page = ParseS3ListPage(kList);
  EXPECT_EQ(page.keys, (Keys{"jobs/a+b c&\x01\xC3\xA9", "jobs/2"}));
  EXPECT_EQ(page.next_token, "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=");
}

TEST(S3Xml, TheLastListPageHasNoToken) {
  const S3ListPage page = ParseS3ListPage(
      "<ListBucketResult><IsTruncated>false</IsTruncated>"
      "<NextContinuationToken>left over</NextContinuationToken></ListBucketResult>");
  EXPECT_EQ(page.keys, Keys{});
  EXPECT_EQ(page.next_token, "");
}

TEST(S3Xml, WhatIsNoListPageIsRefused) {
  const std::vector<std::string> bad = {
      "",
      " ",
      "garbage",
      "<html><body>Welcome</body></html>",
      "<ListBucketResult>",
      "<ListBucketResult/>",
      "<ListBucketResult><IsTruncated>maybe</IsTruncated></ListBucketResult>",
      "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
      "<ListBucketResult><IsTruncated>false</IsTruncated><Contents/></ListBucketResult>",
      "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a%2</Key></Contents>"
      "</ListBucketResult>",
      "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a%zz</Key></Contents>"
      "</ListBucketResult>",
      std::string(kList).substr(0, 300),
      std::string("\0\xFF\xFE<", 4),
  };
  for (const std::string& xml : bad) {
    EXPECT_NE(FailureOf([&] { ParseS3ListPage(xml); }), "no error") << xml;
  }
}

TEST(S3Xml, EntitiesOfADocumentsOwnAreNotExpanded) {
  const S3ListPage page = ParseS3ListPage(
      "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>"
      "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>&e;</Key></Contents>"
      "</ListBucketResult>");
  EXPECT_EQ(page.keys, Keys{"&e;"});
}

TEST(S3Xml, AnErrorHasCodeMessageAndRegion) {
  const auto error = ParseS3Error(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AuthorizationHeaderMalformed</Code>"
      "<Message>the region 'us-east-1' is wrong; expecting 'eu-west-1'</Message>"
      "<Region>eu-west-1</Region><RequestId>6789</RequestId></Error>");
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "AuthorizationHeaderMalformed");
  EXPECT_EQ(error->message, "the region 'us-east-1' is wrong; expecting 'eu-west-1'");
  EXPECT_EQ(error->region, "eu-west-1");
}

TEST(S3Xml, WhatIsNoErrorIsNone) {
  for (const char* xml : {"", "x", "<Error>", "<html/>", "<Errors><Error/></Errors>"}) {
    EXPECT_FALSE(ParseS3Error(xml)) << xml;
  }
  EXPECT_TRUE(ParseS3Error("<Error/>"));
}

TEST(S3Xml, AnUploadHasAnId) {
  EXPECT_EQ(ParseS3UploadId("<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key>"
                            "<UploadId>VXBs/b2Fk+SUQ=</UploadId></InitiateMultipartUploadResult>"),
            "VXBs/b2Fk+SUQ=");
  const std::string nothing = "<InitiateMultipartUploadResult/>";
  EXPECT_THAT(FailureOf([&] { ParseS3UploadId(nothing); }), testing::HasSubstr("no UploadId"));
  EXPECT_NE(FailureOf([&] { ParseS3UploadId("<CopyObjectResult/>"); }), "no error");
}

TEST(S3Xml, ADeletionTellsItsFailures) {
  const auto failures = ParseS3DeleteResult(
      "<DeleteResult><Deleted><Key>gone</Key></Deleted>"
      "<Error><Key>a/b</Key><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
      "<Error><Key>c</Key><Code>InternalError</Code></Error></DeleteResult>");
  ASSERT_EQ(failures.size(), 2U);
  EXPECT_EQ(failures[0].key, "a/b");
  EXPECT_EQ(failures[0].error.code, "AccessDenied");
  EXPECT_EQ(failures[0].error.message, "Access Denied");
  EXPECT_EQ(failures[1].error.code, "InternalError");
  EXPECT_TRUE(ParseS3DeleteResult("<DeleteResult/>").empty());
  EXPECT_NE(FailureOf([&] { ParseS3DeleteResult("<DeleteResult><Error/></DeleteResult>"); }),
            "no error");
}

TEST(S3Xml, BodiesOfRequestsEscapeTheirTexts) {
  EXPECT_EQ(WriteS3Delete(Keys{"a<b>&\"c", "d"}),
            "<Delete><Quiet>true</Quiet><Object><Key>a&lt;b&gt;&amp;\"c</Key></Object>"
            "<Object><Key>d</Key></Object></Delete>");
  EXPECT_EQ(WriteS3CompleteUpload(Keys{"\"e1\"", "\"e2\""}),
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"e1\"</ETag></Part>"
            "<Part><PartNumber>2</PartNumber><ETag>\"e2\"</ETag></Part></CompleteMultipartUpload>");
}

}  // namespace
}  // namespace lambdaml::store
