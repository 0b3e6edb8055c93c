from letters.management.campaign_command import CampaignCommand


class Command(CampaignCommand):
    help = "Says that all texts of a campaign are approved: it can be launched."
    act = "ready"
