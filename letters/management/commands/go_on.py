from letters.management.campaign_command import CampaignCommand


class Command(CampaignCommand):
    help = "Tells a campaign to go on: lets go the letters that wait for what the canary showed."
    act = "go_on"
