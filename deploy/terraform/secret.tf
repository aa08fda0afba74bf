# The program reads it when a letter is ready: [mail] password_secret = "<name>-smtp" in the package's sgwarden.toml, whose
# [cloud] home_region must be the region this is applied in, for there it is looked for.
# Made with a placeholder. The value is set outside: `aliyun kms PutSecretValue --SecretName ... --VersionId 2
# --SecretData ...`. A deleted name stays taken for the recovery window. Encrypted by the service's own key: with one of yours
# the function's role needs kms:Decrypt on it as well.
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
