resource "alicloud_ram_role" "function" {
  role_name   = var.name
  description = "sgwarden on Function Compute: mode ${var.mode}"

  assume_role_policy_document = jsonencode({
    Version = "1"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = ["fc.aliyuncs.com"] }
    }]
  })
}

locals {
  # Written from the program's own table of actions; docs/permissions.md. A rollback needs rollback.json, which this
  # role does not get: who revokes must not be who grants.
  ram = "${path.module}/../ram"

  policies = merge(
    {
      groups = file("${local.ram}/${var.mode}.json")
      storage = jsonencode({
        Version = "1"
        Statement = [
          # Never oss:DeleteObject on evidence.
          {
            Effect   = "Allow"
            Action   = ["oss:PutObject", "oss:AbortMultipartUpload", "oss:GetObject"]
            Resource = ["acs:oss:*:*:${alicloud_oss_bucket.evidence.bucket}/*"]
          },
          {
            Effect   = "Allow"
            Action   = ["oss:ListObjects", "oss:GetBucketWorm"]
            Resource = ["acs:oss:*:*:${alicloud_oss_bucket.evidence.bucket}"]
          },
          {
            Effect   = "Allow"
            Action   = ["oss:PutObject", "oss:AbortMultipartUpload", "oss:GetObject", "oss:DeleteObject"]
            Resource = ["acs:oss:*:*:${alicloud_oss_bucket.state.bucket}/state/*"]
          },
          {
            Effect    = "Allow"
            Action    = ["oss:ListObjects"]
            Resource  = ["acs:oss:*:*:${alicloud_oss_bucket.state.bucket}"]
            Condition = { StringLike = { "oss:Prefix" = ["state/*"] } }
          },
        ]
      })
      log = jsonencode({
        Version = "1"
        Statement = [{
          Effect   = "Allow"
          Action   = ["log:PostLogStoreLogs"]
          Resource = ["acs:log:*:*:project/${alicloud_log_project.log.project_name}/logstore/${alicloud_log_store.log.logstore_name}"]
        }]
      })
    },
    { for name in var.reads : name => file("${local.ram}/${name}.json") },
    # So that Cloud Config is asked to evaluate its rule again after a change.
    var.config_rule && var.mode != "scan" ? { config = file("${local.ram}/config-rule.json") } : {},
    # deploy/ram/mail-secret.json, on this secret alone.
    var.smtp_secret ? {
      secret = jsonencode({
        Version = "1"
        Statement = [{
          Effect   = "Allow"
          Action   = ["kms:GetSecretValue"]
          Resource = [alicloud_kms_secret.smtp[0].arn]
        }]
      })
    } : {},
  )
}

resource "alicloud_ram_policy" "function" {
  for_each = toset(concat(
    ["groups", "storage", "log"],
    tolist(var.reads),
    var.config_rule && var.mode != "scan" ? ["config"] : [],
    var.smtp_secret ? ["secret"] : [],
  ))

  policy_name     = "${var.name}-${each.key}"
  policy_document = local.policies[each.key]
  description     = "sgwarden on Function Compute: ${each.key}"
  rotate_strategy = "DeleteOldestNonDefaultVersionWhenLimitExceeded"
}

resource "alicloud_ram_role_policy_attachment" "function" {
  for_each = alicloud_ram_policy.function

  policy_name = each.value.policy_name
  policy_type = each.value.type
  role_name   = alicloud_ram_role.function.role_name
}
