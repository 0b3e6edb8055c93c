from letters.management.campaign_command import CampaignCommand


class Command(CampaignCommand):
    help = "Tells a campaign to cancel."
    act = "cancel"
