locals {
  execution = {
    MANUAL = "MANUAL_EXECUTION"
    AUTO   = "AUTO_EXECUTION"
  }
}

resource "alicloud_config_configuration_recorder" "account" {
  count = var.config_recorder ? 1 : 0

  resource_types = ["ACS::ECS::SecurityGroup"]
}

# Cloud Config's own rule: 0.0.0.0/0 only, no ::/0, no two halves. The schedules judge what is really exposed.
resource "alicloud_config_rule" "risky_ports" {
  count = var.config_rule ? 1 : 0

  rule_name            = "sg-risky-ports-check"
  description          = "Watched beside the schedules of ${var.name}"
  source_owner         = "ALIYUN"
  source_identifier    = "sg-risky-ports-check"
  risk_level           = 1
  resource_types_scope = ["ACS::ECS::SecurityGroup"]
  input_parameters     = { ports = join(",", var.ports) }

  config_rule_trigger_types   = var.evaluation_frequency == null ? "ConfigurationItemChangeNotification" : "ConfigurationItemChangeNotification,ScheduledNotification"
  maximum_execution_frequency = var.evaluation_frequency

  depends_on = [alicloud_config_configuration_recorder.account]
}

resource "alicloud_config_remediation" "revoke" {
  count = var.config_rule && var.mode != "scan" && var.remediation != "NONE" ? 1 : 0

  config_rule_id          = alicloud_config_rule.risky_ports[0].config_rule_id
  remediation_type        = "FC"
  remediation_source_type = "CUSTOM"
  remediation_template_id = alicloud_fcv3_function.job.function_arn
  invoke_type             = local.execution[var.remediation]
  params                  = "{}"
}
