//! Which host to call.
//!
//! Source: API metadata (aliyun/aliyun-openapi-meta, 2026-04) and the SDKs' endpoint maps, read 2026-08.

use super::settings::{Network, Settings, Site};
use crate::model::actions::Product;

/// A service of the cloud, with the one version of its API that is spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Elastic Compute Service, regional.
    Ecs,
    /// Security Token Service.
    Sts,
    /// Cloud Config.
    Config,
    /// Resource Directory.
    ResourceDirectory,
    /// ActionTrail, regional.
    ActionTrail,
    /// Key Management Service, regional.
    Kms,
}

impl Service {
    /// The service of a product.
    pub fn of(product: Product) -> Self {
        match product {
            Product::Ecs => Self::Ecs,
            Product::Sts => Self::Sts,
            Product::Config => Self::Config,
            Product::ResourceDirectoryMaster => Self::ResourceDirectory,
            Product::ActionTrail => Self::ActionTrail,
            Product::Kms => Self::Kms,
        }
    }

    /// The API's version.
    pub fn version(self) -> &'static str {
        match self {
            Self::Ecs => "2014-05-26",
            Self::Sts => "2015-04-01",
            Self::Config => "2020-09-07",
            Self::ResourceDirectory => "2022-04-19",
            Self::ActionTrail => "2020-07-06",
            Self::Kms => "2016-01-20",
        }
    }

    /// Its name in the table of actions.
    pub fn product(self) -> Product {
        match self {
            Self::Ecs => Product::Ecs,
            Self::Sts => Product::Sts,
            Self::Config => Product::Config,
            Self::ResourceDirectory => Product::ResourceDirectoryMaster,
            Self::ActionTrail => Product::ActionTrail,
            Self::Kms => Product::Kms,
        }
    }
}

/// Regions without an STS host of their own; a session is valid everywhere.
const STS_CENTRAL: [&str; 9] = [
    "cn-hangzhou-finance",
    "cn-shenzhen-finance-1",
    "ap-southeast-6",
    "us-southeast-1",
    "cn-zhengzhou-jva",
    "cn-zhongwei",
    "ap-south-1",
    "ap-southeast-2",
    "cn-heyuan-acdr-1",
];

/// ECS regions for which the metadata list no ActionTrail host.
const NO_ACTIONTRAIL: [&str; 13] = [
    "ap-southeast-6",
    "ap-southeast-8",
    "cn-fuzhou",
    "cn-wuhan-lr",
    "cn-zhengzhou-jva",
    "cn-zhongwei",
    "cn-heyuan-acdr-1",
    "me-central-1",
    "us-southeast-1",
    "cn-beijing-finance-1",
    "cn-shenzhen-finance-1",
    "ap-south-1",
    "ap-southeast-2",
];

/// Whether a region has an ActionTrail host that is known.
pub(super) fn has_actiontrail(region: &str) -> bool {
    !NO_ACTIONTRAIL.contains(&region)
}

/// The host of a service; `region` counts for regional services, empty means the home region.
pub(super) fn host(settings: &Settings, service: Service, region: &str) -> String {
    let region = if region.is_empty() || service == Service::Sts {
        settings.home_region.as_str()
    } else {
        region
    };
    match (service, settings.network) {
        (Service::Ecs, _) if region == "cn-hangzhou-finance" => "ecs.aliyuncs.com".to_owned(),
        (Service::Ecs, Network::Public) => format!("ecs.{region}.aliyuncs.com"),
        (Service::Ecs, Network::Vpc) => format!("ecs-vpc.{region}.aliyuncs.com"),
        (Service::Sts, _) if STS_CENTRAL.contains(&region) => "sts.aliyuncs.com".to_owned(),
        (Service::Sts, Network::Public) => format!("sts.{region}.aliyuncs.com"),
        (Service::Sts, Network::Vpc) => format!("sts-vpc.{region}.aliyuncs.com"),
        (Service::ActionTrail, Network::Public) => format!("actiontrail.{region}.aliyuncs.com"),
        (Service::ActionTrail, Network::Vpc) => format!("actiontrail-vpc.{region}.aliyuncs.com"),
        // The finance region has no host inside a VPC.
        (Service::Kms, Network::Vpc) if region != "cn-hangzhou-finance" => {
            format!("kms-vpc.{region}.aliyuncs.com")
        }
        (Service::Kms, _) => format!("kms.{region}.aliyuncs.com"),
        (Service::Config, network) => {
            let prefix = match network {
                Network::Public => "config",
                Network::Vpc => "config-vpc",
            };
            let region = match settings.site {
                Site::China => "cn-shanghai",
                Site::International => "ap-southeast-1",
            };
            format!("{prefix}.{region}.aliyuncs.com")
        }
        // The SDK's own rule would give `resourcedirectorymaster`, which is no host.
        (Service::ResourceDirectory, Network::Vpc) => {
            "resourcedirectory.vpc-proxy.aliyuncs.com".to_owned()
        }
        (Service::ResourceDirectory, Network::Public) => match settings.site {
            Site::China => "resourcedirectory.aliyuncs.com".to_owned(),
            Site::International => "resourcedirectory-intl.aliyuncs.com".to_owned(),
        },
    }
}

/// Whether a host out of an answer may be sent our signature (and a session's token): an ECS host,
/// not just any name under aliyuncs.com, where a bucket's name is anybody's.
pub(super) fn plausible_ecs_host(host: &str) -> bool {
    let Some(labels) = host.strip_suffix(".aliyuncs.com") else {
        return false;
    };
    let well_formed = |label: &str| {
        !label.is_empty()
            && label.len() < 64
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let mut parts = labels.split('.');
    let first = parts.next();
    let second = parts.next();
    parts.next().is_none()
        && first.is_some_and(|l| well_formed(l) && (l == "ecs" || l.starts_with("ecs-")))
        && second.is_none_or(|l| well_formed(l) && !l.starts_with("oss"))
}

/// A region's id goes into a host name, so it must be one label.
pub(super) fn plausible_region(region: &str) -> bool {
    !region.is_empty()
        && region.len() < 64
        && region
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let mut settings = Settings::default();
        assert_eq!(
            host(&settings, Service::Ecs, "eu-west-1"),
            "ecs.eu-west-1.aliyuncs.com"
        );
        assert_eq!(
            host(&settings, Service::Ecs, ""),
            "ecs.cn-hangzhou.aliyuncs.com"
        );
        assert_eq!(
            host(&settings, Service::Ecs, "cn-hangzhou-finance"),
            "ecs.aliyuncs.com"
        );
        assert_eq!(
            host(&settings, Service::Sts, "eu-west-1"),
            "sts.cn-hangzhou.aliyuncs.com"
        );
        assert_eq!(
            host(&settings, Service::Config, ""),
            "config.cn-shanghai.aliyuncs.com"
        );
        assert_eq!(
            host(&settings, Service::ResourceDirectory, ""),
            "resourcedirectory.aliyuncs.com"
        );
        assert_eq!(
            host(&settings, Service::ActionTrail, "eu-west-1"),
            "actiontrail.eu-west-1.aliyuncs.com"
        );
        assert_eq!(
            host(&settings, Service::Kms, "eu-west-1"),
            "kms.eu-west-1.aliyuncs.com"
        );
        assert!(has_actiontrail("eu-west-1") && !has_actiontrail("cn-fuzhou"));
        settings.network = Network::Vpc;
        assert_eq!(
            host(&settings, Service::ActionTrail, "eu-west-1"),
            "actiontrail-vpc.eu-west-1.aliyuncs.com"
        );
        assert_eq!(
            host(&settings, Service::Kms, ""),
            "kms-vpc.cn-hangzhou.aliyuncs.com"
        );
        assert_eq!(
            host(&settings, Service::Kms, "cn-hangzhou-finance"),
            "kms.cn-hangzhou-finance.aliyuncs.com"
        );
        settings.site = Site::International;
        settings.home_region = "ap-southeast-6".to_owned();
        assert_eq!(
            host(&settings, Service::Ecs, "eu-west-1"),
            "ecs-vpc.eu-west-1.aliyuncs.com"
        );
        assert_eq!(host(&settings, Service::Sts, ""), "sts.aliyuncs.com");
        assert_eq!(
            host(&settings, Service::Config, ""),
            "config-vpc.ap-southeast-1.aliyuncs.com"
        );
    }

    #[test]
    fn only_ecs_hosts_get_a_signature() {
        for good in [
            "ecs.cn-hangzhou.aliyuncs.com",
            "ecs.aliyuncs.com",
            "ecs-cn-hangzhou.aliyuncs.com",
        ] {
            assert!(plausible_ecs_host(good), "{good}");
        }
        for bad in [
            "",
            "ecs.cn-hangzhou.aliyuncs.com.evil.example",
            "evil.aliyuncs.com",
            "ecs-evil.oss-cn-hangzhou.aliyuncs.com",
            "ecs.evil.example",
            "ecs.cn-hangzhou.aliyuncs.com:8443",
            "user@ecs.aliyuncs.com",
            "a.ecs.cn-hangzhou.aliyuncs.com",
            "ecs..aliyuncs.com",
        ] {
            assert!(!plausible_ecs_host(bad), "{bad}");
        }
    }
}
