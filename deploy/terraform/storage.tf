# Evidence: written once, kept for so long whatever anybody wants. Retention and versioning exclude each other.
resource "alicloud_oss_bucket" "evidence" {
  bucket          = "${var.name}-evidence"
  storage_class   = "Standard"
  redundancy_type = "ZRS"
  force_destroy   = false

  server_side_encryption_rule {
    sse_algorithm = "AES256"
  }
}

resource "alicloud_oss_bucket_public_access_block" "evidence" {
  bucket              = alicloud_oss_bucket.evidence.bucket
  block_public_access = true
}

# Locked at once: an open one lapses after a day by itself.
resource "alicloud_oss_bucket_worm" "evidence" {
  bucket                   = alicloud_oss_bucket.evidence.bucket
  retention_period_in_days = var.evidence_retention_days
  status                   = "Locked"
}

# State: the journal, locks, holds, the outbox; written over all the time. The package lies beside it, where the
# function's role cannot write.
resource "alicloud_oss_bucket" "state" {
  bucket          = "${var.name}-state"
  storage_class   = "Standard"
  redundancy_type = "ZRS"
  force_destroy   = false

  server_side_encryption_rule {
    sse_algorithm = "AES256"
  }
}

resource "alicloud_oss_bucket_public_access_block" "state" {
  bucket              = alicloud_oss_bucket.state.bucket
  block_public_access = true
}

# The hash in the key: the provider never reads a package back, and would not see a new one under an old name.
resource "alicloud_oss_bucket_object" "package" {
  bucket = alicloud_oss_bucket.state.bucket
  key    = "code/${filesha256(var.package)}.zip"
  source = var.package
}
