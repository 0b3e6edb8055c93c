"""WHAT GOES OUT, WHAT COMES BACK. The middle storey; imports contacts, never campaign."""
