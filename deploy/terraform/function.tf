resource "alicloud_fcv3_function" "job" {
  function_name = var.name
  description   = "sgwarden: what security groups expose to the internet"
  runtime       = "custom.debian12"
  handler       = "bootstrap"
  role          = alicloud_ram_role.function.arn
  timeout       = var.timeout
  cpu           = var.cpu
  memory_size   = var.memory_size
  disk_size     = 512

  # A run is a whole job, and there is one at a time.
  instance_concurrency = 1
  internet_access      = true

  code {
    oss_bucket_name = alicloud_oss_bucket.state.bucket
    oss_object_name = alicloud_oss_bucket_object.package.key
  }

  custom_runtime_config {
    port = 9000
  }

  log_config {
    project                 = alicloud_log_project.log.project_name
    logstore                = alicloud_log_store.log.logstore_name
    enable_request_metrics  = true
    enable_instance_metrics = true
  }

  dynamic "vpc_config" {
    for_each = var.vpc == null ? [] : [var.vpc]

    content {
      vpc_id            = vpc_config.value.vpc_id
      vswitch_ids       = vpc_config.value.vswitch_ids
      security_group_id = vpc_config.value.security_group_id
    }
  }

  # The console shows no log without an index; the function is useless without its permissions.
  depends_on = [alicloud_log_store_index.log, alicloud_ram_role_policy_attachment.function]
}

# Without this a run that failed would be run three times more by the platform.
resource "alicloud_fcv3_async_invoke_config" "job" {
  function_name            = alicloud_fcv3_function.job.function_name
  qualifier                = "LATEST"
  max_async_retry_attempts = 0
}

# One instance at most, which with one call an instance makes runs follow each other.
resource "alicloud_fcv3_concurrency_config" "job" {
  function_name        = alicloud_fcv3_function.job.function_name
  reserved_concurrency = 1
}

resource "alicloud_fcv3_trigger" "schedule" {
  for_each = var.schedules

  function_name = alicloud_fcv3_function.job.function_name
  qualifier     = "LATEST"
  trigger_name  = each.key
  trigger_type  = "timer"
  description   = "schedules/${each.key}.toml of the package"

  trigger_config = jsonencode({
    cronExpression = each.value
    enable         = true
    payload        = jsonencode({ schedule = each.key })
  })

  # Nothing is run before it is certain that nothing is run twice.
  depends_on = [alicloud_fcv3_async_invoke_config.job, alicloud_fcv3_concurrency_config.job]
}
