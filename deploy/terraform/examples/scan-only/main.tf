# Every Monday at two in Taipei: read everything, judge it, keep the evidence. The role can change nothing.
terraform {
  required_providers {
    # Said again, or the provider below would be another one than the module's.
    alicloud = {
      source = "aliyun/alicloud"
    }
  }
}

provider "alicloud" {
  region = "cn-hangzhou"
}

module "sgwarden" {
  source = "../.."

  name    = "example-sgwarden"
  package = "${path.module}/sgwarden.zip"
  mode    = "scan"

  schedules = {
    weekly = "CRON_TZ=Asia/Taipei 0 0 2 ? * MON"
  }

  # To try it. The bucket outlives its last object's day.
  evidence_retention_days = 1
}

output "evidence" {
  value = module.sgwarden.evidence_url
}
