# Made with a placeholder. The value is set outside: `aliyun kms PutSecretValue --SecretName ... --VersionId 2
# --SecretData ...`. A deleted name stays taken for the recovery window.
resource "alicloud_kms_secret" "smtp" {
  count = var.smtp_secret ? 1 : 0

  secret_name             = "${var.name}-smtp"
  description             = "The password of sgwarden's mail relay"
  secret_data             = "to be set outside of Terraform"
  version_id              = "1"
  recovery_window_in_days = 7

  lifecycle {
    ignore_changes = [secret_data, version_id]
  }
}
