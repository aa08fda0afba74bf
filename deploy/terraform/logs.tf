resource "alicloud_log_project" "log" {
  project_name = "${var.name}-log"
  description  = "What sgwarden says on Function Compute"
}

resource "alicloud_log_store" "log" {
  project_name          = alicloud_log_project.log.project_name
  logstore_name         = "function"
  retention_period      = var.log_retention_days
  shard_count           = 1
  auto_split            = true
  max_split_shard_count = 4
}

resource "alicloud_log_store_index" "log" {
  project  = alicloud_log_project.log.project_name
  logstore = alicloud_log_store.log.logstore_name

  full_text {
    case_sensitive = false
    token          = " #$^*\r\n\t"
  }
}
