terraform {
  required_version = ">= 1.5"

  required_providers {
    # 1.260.0 knows the runtime custom.debian12; the others used here are older.
    alicloud = {
      source  = "aliyun/alicloud"
      version = ">= 1.260.0, < 2.0.0"
    }
  }
}
