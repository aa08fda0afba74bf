output "function_name" {
  description = "Stop it without deleting it: invocation_restriction, or the trigger's switch in the console."
  value       = alicloud_fcv3_function.job.function_name
}

output "function_arn" {
  description = "What Cloud Config calls."
  value       = alicloud_fcv3_function.job.function_arn
}

output "role_arn" {
  description = "What the function may do; trust it in member accounts."
  value       = alicloud_ram_role.function.arn
}

output "evidence_url" {
  description = "Where sealed runs lie: [storage] url of the package's sgwarden.toml."
  value       = "oss://${alicloud_oss_bucket.evidence.bucket}"
}

output "state_url" {
  description = "Where the journal, locks, holds and the outbox lie: [storage] state of the package's sgwarden.toml."
  value       = "oss://${alicloud_oss_bucket.state.bucket}/state"
}

output "config_rule_id" {
  description = "For [remediation] config_rule of a schedule: evaluated again after a change."
  value       = one(alicloud_config_rule.risky_ports[*].config_rule_id)
}

output "smtp_secret_name" {
  description = "Where the relay's password is to be put: [mail] password_secret of the package's sgwarden.toml, with this region as [cloud] home_region."
  value       = one(alicloud_kms_secret.smtp[*].secret_name)
}
