variable "name" {
  description = "Names the function, its role, its buckets and its logs; bucket and log project names are unique in the world."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,40}$", var.name))
    error_message = "Lower-case letters, digits and hyphens, 3 to 41, a letter first."
  }
}

variable "package" {
  description = "The ZIP that deploy/function-compute/package.sh made."
  type        = string
}

variable "mode" {
  description = "What the function's role may do: scan reads, revoke revokes too, narrow also adds what comes in a rule's place. What it does is said by each schedule's [remediation] mode."
  type        = string
  default     = "scan"

  validation {
    condition     = contains(["scan", "revoke", "narrow"], var.mode)
    error_message = "scan, revoke or narrow."
  }
}

variable "reads" {
  description = "Optional policies of deploy/ram that let the role read more than the groups: attached (what uses them), completeness (Cloud Config's own list of them), events (what Cloud Config knows of a resource it sends; verdicts handed back to it), attribution (who opened a rule), accounts (the resource directory's list, and assuming role SgwardenAudit in each account)."
  type        = set(string)
  default     = ["attached", "completeness", "events"]

  validation {
    condition     = length(setsubtract(var.reads, ["attached", "completeness", "events", "attribution", "accounts"])) == 0
    error_message = "attached, completeness, events, attribution, accounts."
  }
}

variable "schedules" {
  description = "Schedules of the package by name, with the time at which each is run: six fields, seconds first, UTC unless CRON_TZ=ZONE stands before them."
  type        = map(string)

  validation {
    condition     = alltrue([for time in values(var.schedules) : can(regex("^(CRON_TZ=[A-Za-z0-9_/+-]+ )?([^ ]+ ){5}[^ ]+$", time))])
    error_message = "Six fields: second minute hour day month weekday, such as \"CRON_TZ=Asia/Taipei 0 0 2 ? * MON\"."
  }
}

variable "evidence_retention_days" {
  description = "Nobody can delete or change evidence for so long, nor shorten this afterwards, nor delete the bucket. Try 1 first; auditors mostly ask for 365 or more."
  type        = number

  validation {
    condition     = var.evidence_retention_days >= 1 && var.evidence_retention_days <= 25550
    error_message = "1 to 25550 days."
  }
}

variable "timeout" {
  description = "Seconds a run may take."
  type        = number
  default     = 3600

  validation {
    condition     = var.timeout >= 60 && var.timeout <= 86400
    error_message = "60 to 86400 seconds."
  }
}

variable "memory_size" {
  description = "MB, in steps of 64."
  type        = number
  default     = 1024

  validation {
    condition     = var.memory_size >= 128 && var.memory_size <= 32768 && var.memory_size % 64 == 0
    error_message = "128 to 32768 in steps of 64."
  }
}

variable "cpu" {
  description = "vCPU, in steps of 0.05; GB of memory per vCPU are between 1 and 4."
  type        = number
  default     = 0.5
}

variable "vpc" {
  description = "A VPC whose NAT gateway gives the function one address of its own, for a mail relay that asks for it; null: the service's own way out."
  type = object({
    vpc_id            = string
    vswitch_ids       = list(string)
    security_group_id = string
  })
  default = null
}

variable "smtp_secret" {
  description = "Whether a KMS secret for the relay's password is made, which the function's role may read: name it in [mail] password_secret. It is made with a placeholder: set the value outside of Terraform, whose state keeps every value in clear."
  type        = bool
  default     = false
}

variable "log_retention_days" {
  description = "How long the function's log is kept."
  type        = number
  default     = 365

  validation {
    condition     = var.log_retention_days >= 1 && var.log_retention_days <= 3650
    error_message = "1 to 3650 days; 3650 is for ever."
  }
}

variable "config_rule" {
  description = "Whether Cloud Config watches the groups by its own rule sg-risky-ports-check, beside the schedules."
  type        = bool
  default     = true
}

variable "config_recorder" {
  description = "Whether Cloud Config's recorder is switched on for security groups. Leave it false where the account's recorder is on already: it is one for the whole account."
  type        = bool
  default     = false
}

variable "ports" {
  description = "The ports that the Cloud Config rule calls risky."
  type        = list(number)
  default     = [22, 3389]

  validation {
    condition     = length(var.ports) > 0 && alltrue([for port in var.ports : port >= 1 && port <= 65535])
    error_message = "At least one port, each from 1 to 65535."
  }
}

variable "evaluation_frequency" {
  description = "How often Cloud Config evaluates its rule beside every change of a group; null: on changes only."
  type        = string
  default     = "TwentyFour_Hours"

  validation {
    condition     = var.evaluation_frequency == null || contains(["One_Hour", "Three_Hours", "Six_Hours", "Twelve_Hours", "TwentyFour_Hours"], coalesce(var.evaluation_frequency, "-"))
    error_message = "One_Hour, Three_Hours, Six_Hours, Twelve_Hours, TwentyFour_Hours, or null."
  }
}

variable "remediation" {
  description = "What Cloud Config does with a group that its rule calls non-compliant: NONE, MANUAL (a person starts the function) or AUTO. Nothing with mode = \"scan\", under which the function changes nothing."
  type        = string
  default     = "MANUAL"

  validation {
    condition     = contains(["NONE", "MANUAL", "AUTO"], var.remediation)
    error_message = "NONE, MANUAL or AUTO."
  }
}
