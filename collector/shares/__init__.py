"""Quotas split over the sidecars that count by themselves."""

from collector.shares.sharer import QuotaSharing
from collector.shares.usage import UsageRecorder

__all__ = ["QuotaSharing", "UsageRecorder"]
