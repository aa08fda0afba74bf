# Daily, with revocation. The package's schedule says mode = "revoke" with its guards; a person starts what Cloud
# Config finds in between, until remediation = "AUTO".
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
  mode    = "revoke"

  schedules = {
    daily  = "CRON_TZ=Asia/Taipei 0 0 2 ? * *"
    weekly = "CRON_TZ=Asia/Taipei 0 0 6 ? * MON"
  }

  ports                   = [22, 3389]
  remediation             = "MANUAL"
  evidence_retention_days = 365
  smtp_secret             = true
}

output "config_rule" {
  value = module.sgwarden.config_rule_id
}

output "smtp_secret" {
  value = module.sgwarden.smtp_secret_name
}
