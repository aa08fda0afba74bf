//! The regions that are known of: one that DescribeRegions does not name is worth a word.

/// When the list was made.
pub(super) const AS_OF: &str = "2026-04";

/// Public regions with an ECS host. Source: API metadata (aliyun/aliyun-openapi-meta), 2026-04, read
/// 2026-08. Left out: ap-southeast-2 and ap-south-1, said to have closed in 2024, and the regions for
/// finance and government, which an account has only where they were enabled for it.
const PUBLIC: [&str; 31] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-southeast-1",
    "ap-southeast-3",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "cn-beijing",
    "cn-chengdu",
    "cn-fuzhou",
    "cn-guangzhou",
    "cn-hangzhou",
    "cn-heyuan",
    "cn-hongkong",
    "cn-huhehaote",
    "cn-nanjing",
    "cn-qingdao",
    "cn-shanghai",
    "cn-shenzhen",
    "cn-wuhan-lr",
    "cn-wulanchabu",
    "cn-zhangjiakou",
    "cn-zhengzhou-jva",
    "eu-central-1",
    "eu-west-1",
    "me-central-1",
    "me-east-1",
    "na-south-1",
    "us-east-1",
    "us-southeast-1",
    "us-west-1",
];

/// Those of the list that an answer of DescribeRegions does not have.
pub(super) fn unnamed<'a>(
    has: impl Fn(&str) -> bool + 'a,
) -> impl Iterator<Item = &'static str> + 'a {
    PUBLIC.into_iter().filter(move |region| !has(region))
}
